"""The page of 36 jobs in a browser: wide, on a phone, on paper; nothing is cut, too small or broken."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import thirty_six_jobs

from prunelab.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: make install")

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE, PAPER = 1280, 390, 1046  # pixels across; A4 landscape within its margins
TALLEST = 6000  # pixels of the wide page before anything is unfolded
SMALLEST = 11  # pixels of any text

# Texts that are seen and smaller than they may be, those of drawings at the size at which they are shown.
SMALL = """(least) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const owner = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !owner.getClientRects().length || ["SCRIPT", "STYLE"].includes(owner.tagName)) continue;
    const scale = owner.closest("svg") && owner.getScreenCTM ? owner.getScreenCTM().a : 1;
    const size = parseFloat(getComputedStyle(owner).fontSize) * scale;
    if (size < least - 0.01) found.push(`${size} px: ${text}`);
  }
  return found;
}"""
# What sticks out of the page, out of its drawing, or, unless it can be scrolled, out of what holds it.
CUT = """(scrolls) => {
  const found = [], width = document.documentElement.clientWidth;
  const hidden = (one) => one.closest("caption, .stacked thead") || !one.getClientRects().length;
  if (document.documentElement.scrollWidth > width) found.push("the page is wider than the screen");
  for (const one of document.querySelectorAll("main *")) {
    const style = getComputedStyle(one), clips = ["hidden", "clip"].includes(style.overflowX);
    if (hidden(one) || one.closest("svg")) continue;
    if (one.scrollWidth > one.clientWidth + 1 && (clips || (!scrolls && one.matches(".scroll"))))
      found.push(`${one.tagName}.${one.className} is cut: ${one.textContent.trim().slice(0, 60)}`);
    if (one.getBoundingClientRect().right > width + 1 && !(scrolls && one.closest(".scroll")))
      found.push(`${one.tagName}.${one.className} sticks out: ${one.textContent.trim().slice(0, 60)}`);
  }
  for (const text of document.querySelectorAll("figure svg text")) {
    const own = text.getBoundingClientRect(), frame = text.closest("svg").getBoundingClientRect();
    if (own.width && (own.left < frame.left - 2 || own.right > frame.right + 2 || own.top < frame.top - 2))
      found.push(`${text.textContent} leaves its drawing`);
  }
  return found;
}"""
BROKEN = """async () => {
  const unseen = (one) => !one.complete || !one.naturalWidth;
  const found = [...document.images].filter(unseen).map((one) => one.alt);
  for (const one of document.querySelectorAll("audio, video")) {
    const player = document.createElement(one.tagName);
    const loads = new Promise((done) => {
      player.onloadeddata = () => done(player.duration > 0);
      player.onerror = () => done(false);
    });
    player.preload = "auto";
    player.src = one.src;
    if (!(await loads)) found.push(one.getAttribute("aria-label"));
    player.removeAttribute("src");
  }
  return found;
}"""
UNFOLD = "for (const one of document.querySelectorAll('details')) one.open = true"
SPEECHLESS = """() => [...document.querySelectorAll("img, figure svg, audio, input, button, table, .scroll")]
  .filter((one) => !(one.alt || one.getAttribute("aria-label") || one.caption || one.textContent.trim()))
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, as the system has it or as playwright brought it; none is no failure of the page."""
    with playwright.sync_playwright() as driver:
        own = Path(driver.chromium.executable_path)
        place = next(filter(None, map(shutil.which, NAMES)), None) or (str(own) if own.exists() else None)
        if place is None:
            pytest.skip(f"no Chromium: none of {', '.join(NAMES)} on the path (make browser installs it)")
        started = driver.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows, previews, curves = thirty_six_jobs.swept()
    context = {"title": "prunelab sweep", "jobs": 36}
    return write_report(tmp_path_factory.mktemp("sweep"), rows, previews, curves, context).as_uri()


@contextmanager
def opened(browser: Any, address: str, width: int, **options: Any) -> Iterator[Any]:
    """The page; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 800}, **options)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url[:80]))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


def test_wide(browser: Any, address: str) -> None:
    with opened(browser, address, WIDE) as page:
        assert page.evaluate("document.documentElement.scrollHeight") < TALLEST
        first = page.locator("section").first.inner_text()
        assert first.index("10 %") < first.index("latent_shift") < first.index("taylor")
        page.evaluate(UNFOLD)
        assert page.evaluate(SMALL, SMALLEST) == []
        assert page.evaluate(CUT, True) == []
        assert page.evaluate(BROKEN) == []
        assert page.evaluate(SPEECHLESS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(browser: Any, address: str, scheme: str) -> None:
    with opened(browser, address, PHONE, color_scheme=scheme) as page:
        page.evaluate(UNFOLD)
        assert page.evaluate(SMALL, SMALLEST) == []
        assert page.evaluate(CUT, True) == []
        table = page.locator("table.numbers").first.bounding_box()
        assert table["width"] <= PHONE, "its rows are stacked"


def test_on_paper(browser: Any, address: str, tmp_path: Path) -> None:
    with opened(browser, address, PAPER) as page:
        page.emulate_media(media="print")
        shut = "details:not([open]) > :not(summary, input)"
        height = "all => all.map((one) => one.getBoundingClientRect().height)"
        heights = page.eval_on_selector_all(shut, height)
        assert heights
        assert min(heights) > 0, "what is folded is printed"
        assert page.evaluate(SMALL, SMALLEST) == []
        assert page.evaluate(CUT, False) == []
        page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
        assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_tables_sort_and_filter(browser: Any, address: str) -> None:
    with opened(browser, address, WIDE) as page:
        page.evaluate(UNFOLD)
        table = page.locator("table.numbers").first
        cells = table.locator("tbody tr td:nth-child(5)")

        def shown() -> list[float]:
            return [float(text.split()[0].replace(",", "")) for text in cells.all_inner_texts()]

        before = shown()
        table.locator("thead th:nth-child(5) button").focus()
        for expected in (sorted(before), sorted(before, reverse=True)):
            page.keyboard.press("Enter")
            assert shown() == expected
        field = page.locator("input[type=search]").first
        field.fill("taylor 30")
        rows = [text for text in table.locator("tbody tr").all_inner_texts() if text.strip()]
        visible = table.locator("tbody tr:visible").all_inner_texts()
        assert 0 < len(visible) < len(rows)
        assert all("taylor" in text and "30" in text for text in visible)


def test_without_scripts(browser: Any, address: str) -> None:
    with opened(browser, address, WIDE, java_script_enabled=False) as page:
        page.locator("summary").first.click()
        assert page.locator("details[open] table").first.is_visible()
        assert page.locator("button").count() == 0
