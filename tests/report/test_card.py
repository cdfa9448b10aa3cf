"""The card of a saved model says what was removed, how, what it measures and whose licence binds it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from prunelab.cli.licences import OURS, UNKNOWN, licence
from prunelab.models.folders import content_hash
from prunelab.report.card import Licence, card

BASE = Licence("openrail++", "The card of the base model states openrail++.")


def cells(text: str, first: str) -> list[str]:
    """The cells of the table's line that begins with ``first``."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_it_says_what_the_report_says(rows: list[dict[str, Any]]) -> None:
    rows[2]["settings"] = {"scorer.p": "2.0"}
    rows[2]["conditions"] = {"data": "digits", "hardware": "a CPU"}
    text = card(rows[2], rows, BASE)
    head = yaml.safe_load(text.split("---")[1])
    assert head == {
        "license": "openrail++",
        "library_name": "diffusers",
        "base_model": "tiny_t2i",
        "tags": ["diffusers", "pruning", "prunelab"],
    }
    assert "# tiny_t2i, recovered" in text
    assert cells(text, "asked for") == ["30.0 % of parameters"]
    assert cells(text, "MACs removed") == ["30.0 %"]
    assert cells(text, "denoiser") == ["700 (of 1.00 k)"] * 3
    for name, value in {
        "scorer |": "magnitude",
        "scorer.p": "2.0",
        "recovery": "distill",
        "seed": "0",
    }.items():
        assert cells(text, name)[-1] == value
    assert cells(text, "Fréchet") == ["50.0 \\[48.0, 52.0\\]", "80.0 \\[78.0, 82.0\\]"]
    assert "Measured on data: digits; hardware: a CPU." in text
    assert text.endswith(f"## Licence\n\n{BASE.sentence}\n")


def test_words_from_elsewhere_stay_words(rows: list[dict[str, Any]]) -> None:
    hostile = 'a"\nb: [c](d) <script>'
    for one in rows:
        one["model"] = hostile
    text = card(rows[1], rows, BASE)
    assert yaml.safe_load(text.split("---")[1])["base_model"] == hostile.replace("\n", " ")
    assert "<script>" not in text.split("---\n", 2)[2]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "---\ntags: [a]\nlicense: mit\n---\n# Model\nlicense: none\n"}, "mit"),
        ({"README.md": "license: mit\n", "LICENSE.md": "words"}, "other"),
        ({}, "other"),
    ],
)
def test_the_licence_is_the_base_models(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    found = licence(OmegaConf.create({"model": {"open": {"path": str(tmp_path), "embedded": "tiny_t2i"}}}))
    assert found.identifier == expected
    assert ("LICENSE.md" in found.sentence) == ("LICENSE.md" in files)
    assert (found == UNKNOWN) == (not files)


def test_what_comes_with_prunelab_has_its_licence() -> None:
    assert licence(OmegaConf.create({"model": {"open": {"path": None, "embedded": "tiny_t2i"}}})) == OURS
    assert licence(OmegaConf.create({"model": {"open": {"path": None}}})) == UNKNOWN


def test_a_card_does_not_make_it_another_model(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    before = content_hash(tmp_path, "pretrained")
    (tmp_path / "README.md").write_text("of today")
    assert content_hash(tmp_path, "pretrained") == before
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "README.md").write_text("inside of a component")
    assert content_hash(tmp_path, "pretrained") != before
