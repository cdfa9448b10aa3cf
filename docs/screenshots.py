"""Take the README's pictures of a report: ``python docs/screenshots.py FOLDER/report.html``.

Needs Chromium; in the README is the sweep of ``docs/log.md``, "the methods at 30 % on held-out prompts".
"""

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent / "pictures"
NAMES = ("chromium", "chromium-browser", "google-chrome")  # as systems call it; else playwright's own
WIDE = 1120  # pixels across
TABLES = 1  # rankings of the answer
COLOURS, NONE = 200, Image.Dither.NONE


def ends(page: Any, query: str, number: int) -> float:
    """Where the element of that number among those that are found ends, in pixels from the top."""
    box = page.locator(query).nth(number).bounding_box()
    return float(box["y"] + box["height"])


def answer(page: Any) -> dict[str, float]:
    """The page from its top to the end of the first rankings."""
    tables = page.locator("section").first.locator("table:visible")
    last = min(TABLES, tables.count()) - 1
    return {"x": 0, "y": 0, "width": WIDE, "height": ends(page, "section table", last) + 8}


def fronts(page: Any) -> dict[str, float]:
    """The first row of plots of quality against cost, with their heading."""
    section = page.locator("section", has=page.get_by_role("heading", name="Quality against cost"))
    top = section.bounding_box()["y"]
    plot = section.locator("figure svg").first.bounding_box()
    return {"x": 0, "y": top, "width": WIDE, "height": 2 * plot["height"] + plot["y"] - top}


def save(png: bytes, file: Path) -> None:
    """The picture in few colours: plain areas and text need no more."""
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=NONE).save(
            file, optimize=True
        )
    print(f"{file}: {file.stat().st_size / 1e3:.0f} kB")


def photograph(report: Path) -> None:
    """Write ``report-answer.png`` and ``report-fronts.png``."""
    with sync_playwright() as driver:
        place = next(filter(None, map(shutil.which, NAMES)), None)
        browser = driver.chromium.launch(executable_path=place, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDE, "height": 800}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        for name, clip in (("answer", answer(page)), ("fronts", fronts(page))):
            save(page.screenshot(clip=clip, full_page=True), PICTURES / f"report-{name}.png")
        browser.close()


if __name__ == "__main__":
    photograph(Path(sys.argv[1]))
