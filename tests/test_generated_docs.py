"""The generated parts of the documentation are what the code says today."""

import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "generate.py"))


def test_every_generated_part_is_up_to_date(generator: dict[str, Any]) -> None:
    pages = generator["pages"]()
    assert DOCS / "pairs.md" in pages
    for page in pages:
        text = page.read_text("utf-8")
        assert text == generator["generated"](text), f"{page.name} is out of date: python docs/generate.py"


def test_every_generated_file_is_up_to_date(generator: dict[str, Any]) -> None:
    assert "report.schema.json" in generator["FILES"]
    for name, content in generator["FILES"].items():
        assert (DOCS / name).read_text("utf-8") == content(), (
            f"{name} is out of date: python docs/generate.py"
        )


def test_every_part_is_somewhere(generator: dict[str, Any]) -> None:
    written = {
        name for page in generator["pages"]() for _, name, _ in generator["PART"].findall(page.read_text())
    }
    assert written == set(generator["PARTS"])


def test_an_old_part_is_replaced_and_the_rest_left_alone(generator: dict[str, Any]) -> None:
    old = "before\n<!-- generated: components -->\nwrong\n<!-- end -->\nafter\n"
    new = generator["generated"](old)
    assert new.startswith("before\n<!-- generated: components -->\n| scorer")
    assert new.endswith("<!-- end -->\nafter\n")
    assert "wrong" not in new
    assert "| `latent_shift` | `denoiser` |" in new
