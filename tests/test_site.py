"""The pages as a site: each is in its navigation, and every link leads to a page and a heading."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
ANCHOR = re.compile(r"\]\(([^)#:\s]*)#([^)\s]+)\)")
MOST_LINES = 250  # of the README, which is to be read to its end
ABROAD = {  # what the pages say otherwise, and what they called it once
    "goes on where it was": "resumes",
    "goes on from there": "resumes",
    "from nothing": "from scratch",
    "back to health": "retrains",
    "one's own": "your own",
    "comes along": "ships with prunelab",
    "come along": "ship with prunelab",
    "slimmed": "physically pruned",
}


def site() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def named(nav: Any) -> Iterator[str]:
    """The files of a navigation, sections opened."""
    for entry in nav:
        inner = next(iter(entry.values())) if isinstance(entry, Mapping) else entry
        if isinstance(inner, str):
            yield inner
        else:
            yield from named(inner)


def test_the_navigation_names_every_page_once() -> None:
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(named(site()["nav"])) == sorted(pages)


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as mkdocs and GitHub make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", each).strip().lower()) for each in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = ANCHOR.findall(page.read_text("utf-8"))
    broken = [
        (file, anchor)
        for file, anchor in links
        if anchor not in slugs((page.parent / file).resolve() if file else page)
    ]
    assert broken == []


@pytest.mark.parametrize("page", [*(ROOT / "docs").rglob("*.md")], ids=lambda page: page.name)
def test_no_page_of_the_site_links_out_of_it(page: Path) -> None:
    """What lies beside docs/ is not on the site."""
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    outside = [link for link in links if not (page.parent / link).resolve().is_relative_to(ROOT / "docs")]
    assert outside == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < MOST_LINES


def test_one_way_to_say_each_thing() -> None:
    """Old decisions and the log keep the words of their day."""
    kept = {ROOT / "docs" / "log.md", ROOT / "CHANGELOG.md", *(ROOT / "docs" / "decisions").glob("0*.md")}
    found = [
        f"{page.relative_to(ROOT)}: {words!r}, say {instead!r}"
        for page in PAGES
        if page not in kept
        for words, instead in ABROAD.items()
        if words in re.sub(r"\s+", " ", page.read_text("utf-8"))
    ]
    assert found == []
