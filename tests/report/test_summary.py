"""The table over seeds, against means and extremes taken by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from prunelab.report.schema import Evaluated
from prunelab.report.summary import markdown, means, over_seeds
from prunelab.report.tables import sparsity

MakeRow = Callable[..., dict[str, Any]]


def seeded(row: MakeRow, scorer: str, seed: int, distance: float) -> dict[str, Any]:
    made = row("pruned", scorer, 0.3)
    made["seed"] = seed
    made["metrics"]["output_distance"] = {"value": distance, "low": None, "high": None, "n": 5}
    return made


def test_rows_that_differ_in_their_seed_alone_become_one(row: MakeRow) -> None:
    rows = [seeded(row, "random", seed, value) for seed, value in ((0, 0.5), (1, 0.1), (2, 0.9))]
    rows += [seeded(row, "magnitude", 0, 0.2), row("dense")]
    groups = over_seeds(rows)
    assert [(group.state, len(group.rows)) for group in groups] == [
        ("pruned", 3),
        ("pruned", 1),
        ("dense", 1),
    ]
    assert groups[0].metric("output_distance") == pytest.approx((0.5, 0.1, 0.9))
    assert "seed" not in groups[0].label
    assert "random" in groups[0].label


def test_the_markdown_table_has_a_line_per_group(row: MakeRow) -> None:
    rows = [seeded(row, scorer, seed, 0.25) for scorer in ("random", "magnitude") for seed in (0, 1)]
    lines = markdown(over_seeds(rows)).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| 2 |" in lines[2]
    assert "0.250 |" in lines[2]  # no interval where all seeds agree


def test_zeros_have_a_column_where_single_weights_went(row: MakeRow) -> None:
    made = seeded(row, "magnitude", 0, 0.2)
    assert "non-zeros" not in markdown(over_seeds([made]))
    made["sparsity"].update(nominal=0.385, nonzeros=0.201)
    text = markdown(over_seeds([made])).splitlines()
    cells = dict(zip(text[0].split(" | "), text[2].split(" | "), strict=True))
    assert cells["non-zeros removed"] == "20.1 %"


def test_shares_have_their_sign_and_the_choices_are_columns(row: MakeRow) -> None:
    rows = [row("pruned", scorer, seed=seed) for scorer in ("random", "magnitude") for seed in (0, 1)]
    rows[0]["metrics"]["prompt_accuracy"]["value"] = 0.7
    text = markdown(over_seeds(rows)).splitlines()
    cells = dict(zip(text[0].split(" | "), text[2].split(" | "), strict=True))
    assert cells["Prompt accuracy\N{NO-BREAK SPACE}↑"] == "80.0 % [70.0, 90.0]"
    assert cells["scorer"] == "random"


def test_rows_of_one_seed_are_no_repetition(row: MakeRow) -> None:
    """Where a setting differs that no field says, nothing is averaged over it."""
    rows = [row("pruned", seed=seed) for seed in (0, 1, 0)]
    rows[2]["address"] = "evaluate-another"
    assert [(len(group.rows), group.label) for group in over_seeds(rows)] == [(2, ""), (1, "no. 2")]


def test_settings_that_differ_tell_rows_apart(row: MakeRow) -> None:
    rows = [
        row("pruned") | {"settings": {"data.size": "64", "scorer.threshold": value}}
        for value in ("0.2", "0.3")
    ]
    assert [group.label for group in over_seeds(rows)] == ["scorer.threshold=0.2", "scorer.threshold=0.3"]


def test_the_page_has_the_means_where_there_are_seeds(row: MakeRow) -> None:
    assert means([row("pruned"), row("recovered")]) is None
    table = means([row("pruned", seed=seed) for seed in (0, 4)])
    assert table is not None
    cells = dict(zip([heading.text for heading in table.headings], table.lines[0].cells, strict=True))
    assert cells["Seeds"].text == "2"
    assert cells["MACs removed"].text == "30.0 %"
    distance = cells["Fréchet distance\N{NO-BREAK SPACE}↓"]
    assert (distance.text, distance.detail) == ("82.0", "[80.0, 84.0]")


def test_shares_of_a_model_that_had_been_pruned_before_say_so(row: MakeRow) -> None:
    made = [row("dense"), row("pruned")]
    assert "before" not in sparsity(made).note
    for each in made:
        each["sparsity"]["given_pruned"] = ["denoiser"]
        Evaluated.model_validate(each)
    assert "denoiser had been pruned before: shares are of the model as it was given" in sparsity(made).note
