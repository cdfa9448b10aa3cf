"""What the page answers first: the best, those that cannot be told apart, the controls; by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from prunelab.report.answers import answers, matched
from prunelab.report.page import render

MakeRow = Callable[..., dict[str, Any]]
DISTANCE = "frechet_distance"


def valued(row: MakeRow, scorer: str, value: float, width: float = 1.0, **rest: Any) -> dict[str, Any]:
    """A recovered row of so large a distance."""
    made = row(rest.pop("state", "recovered"), scorer, **rest)
    made["metrics"][DISTANCE] = {"value": value, "low": value - width, "high": value + width, "n": 9}
    made["control"] = scorer in ("random", "magnitude")
    return made


@pytest.fixture
def rows(row: MakeRow) -> list[dict[str, Any]]:
    return [
        row("dense"),
        valued(row, "taylor", 20.0),
        valued(row, "wanda", 21.5),  # [20.5, 22.5] overlaps [19, 21]
        valued(row, "magnitude", 22.5),
        valued(row, "random", 40.0),
        valued(row, "taylor", 25.0, state="scratch"),
        valued(row, "random", 10.0, state="scratch"),
    ]


def test_the_best_is_named_with_what_cannot_be_told_apart_and_the_controls(
    rows: list[dict[str, Any]],
) -> None:
    (answer,) = answers(rows, DISTANCE, "recovered")
    assert (answer.where, answer.best.method, answer.best.low, answer.best.high) == ("30 %", "taylor", 19, 21)
    assert [one.method for one in answer.tied] == ["wanda"]
    assert [(one.method, answer.standing(one)) for one in answer.controls] == [
        ("magnitude", "worse"),
        ("random", "worse"),
    ]
    assert answer.scratch is not None
    assert (answer.scratch.method, answer.scratch.quality, answer.dense) == ("taylor", 25, 50)


def test_where_higher_is_better_the_highest_is_best(row: MakeRow) -> None:
    made = [row("dense"), row("recovered", "one"), row("recovered", "two")]
    made[1]["metrics"]["prompt_accuracy"] = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    (answer,) = answers(made, "prompt_accuracy", "recovered")
    assert (answer.best.method, answer.best.quality, answer.tied) == ("two", pytest.approx(90), ())


def test_an_interval_covers_the_intervals_of_all_seeds(row: MakeRow) -> None:
    made = [row("dense"), *(valued(row, "taylor", 20 + seed, seed=seed) for seed in (0, 4))]
    made += [valued(row, "wanda", 25.5, seed=seed) for seed in (0, 4)]
    (answer,) = answers(made, DISTANCE, "recovered")
    assert (answer.best.quality, answer.best.low, answer.best.high, answer.best.seeds) == (22, 19, 25, 2)
    assert [one.method for one in answer.tied] == ["wanda"], "[24.5, 26.5] overlaps the farthest seed's"


def test_without_an_interval_nothing_is_told_apart(row: MakeRow) -> None:
    made = [row("dense"), valued(row, "taylor", 20.0, 0.0), valued(row, "wanda", 90.0)]
    (answer,) = answers(made, DISTANCE, "recovered")
    assert (answer.tied, [one.method for one in answer.unknown]) == ((), ["wanda"])


def test_sparsities_come_in_their_order(row: MakeRow) -> None:
    made = [row("dense"), *(valued(row, "taylor", 20.0, sparsity=share) for share in (0.5, 0.05, 0.1))]
    assert [answer.where for answer in answers(made, DISTANCE, "recovered")] == ["5 %", "10 %", "50 %"]


def test_at_matched_cost_requests_do_not_matter(row: MakeRow) -> None:
    """One method is asked for 30 %, another for 50 %, and both keep 70 % of the parameters."""
    made = [row("dense"), valued(row, "taylor", 20.0), valued(row, "wanda", 30.0)]
    made[2]["sparsity"]["requested"] = 0.5
    assert [answer.contenders for answer in answers(made, DISTANCE, "recovered")] == [1, 1]
    (answer,) = matched(made, DISTANCE, "recovered", "nonzeros")
    assert (answer.where, answer.best.method, answer.contenders) == ("70 %", "taylor", 2)
    made[2]["cost"]["components"] = {"denoiser": {**made[2]["cost"]["components"]["denoiser"], "macs": 600}}
    assert matched(made, DISTANCE, "recovered", "macs") == []


def test_the_page_opens_with_it(rows: list[dict[str, Any]]) -> None:
    page = render(rows, [], [], {})
    first = page[page.index("<section") : page.index("</section>")]
    place = [
        first.index(word) for word in ("30 %", "<strong>taylor</strong>", "wanda", "magnitude", "random")
    ]
    assert place == sorted(place)
    assert "intervals do not overlap" in first
    assert "one seed" in first
