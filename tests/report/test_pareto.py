"""Fronts against a comparison of every pair; points against means taken by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prunelab.report.pareto import front, paretos

MakeRow = Callable[..., dict[str, Any]]


def not_beaten(points: list[tuple[float, float]], better: str) -> set[tuple[float, float]]:
    """Every point that no other one beats, by asking all pairs."""
    kept = set()
    for cost, value in points:
        beaten = False
        for other_cost, other in points:
            as_good = other <= value if better == "lower" else other >= value
            if other_cost <= cost and as_good and (other_cost, other) != (cost, value):
                beaten = True
        if not beaten:
            kept.add((cost, value))
    return kept


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_no_other_point_beats(better: str, seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, 12, size=(40, 2))  # few places: many ties
    points = [(float(cost), float(value)) for cost, value in drawn]
    found = front(points, better)
    assert len(found) == len(set(found))
    assert set(found) == not_beaten(points, better)
    assert found == sorted(found)


@pytest.fixture
def sweep(row: MakeRow) -> list[dict[str, Any]]:
    made = [
        row(state, scorer, sparsity, seed)
        for scorer in ("magnitude", "random")
        for sparsity in (0.1, 0.5)
        for state in ("pruned", "recovered", "scratch")
        for seed in (0, 4)
    ]
    return [row("dense"), *made]


def test_a_point_per_method_state_and_sparsity(sweep: list[dict[str, Any]]) -> None:
    plot = paretos(sweep)[0]
    assert plot.title.startswith("Fréchet")
    assert len(plot.points) == 2 * 2 * 3
    assert len({(point.method, point.state, point.requested) for point in plot.points}) == 12
    point = plot.points[1]
    assert (point.method, point.state, point.requested) == ("magnitude", "recovered", "10 %")
    assert (point.quality, point.low, point.high) == pytest.approx((62, 60, 64))  # seeds add 0 and 4
    assert point.left == pytest.approx({"nonzeros": 90, "macs": 90, "latency": 100})


def test_the_dense_model_is_on_the_front_unless_a_cheaper_one_is_as_good(sweep: list[dict[str, Any]]) -> None:
    plot = paretos(sweep)[0]
    assert plot.dense == 50
    assert np.array(plot.front("macs")) == pytest.approx(np.array([(50, 102), (90, 62), (100, 50)]))
    accuracy = paretos(sweep)[1]
    assert (accuracy.unit, accuracy.dense) == ("%", pytest.approx(90))
    assert np.array(accuracy.front("macs")) == pytest.approx(
        np.array([(50, 90)])
    )  # the made-up accuracies are all alike


def test_one_seed_keeps_its_interval(row: MakeRow) -> None:
    rows = [row("dense"), row("pruned", sparsity=0.1), row("pruned", sparsity=0.5)]
    point = paretos(rows)[0].points[0]
    assert (point.quality, point.low, point.high) == pytest.approx((60, 58, 62))


def test_costs_are_of_all_components_that_some_method_prunes(row: MakeRow) -> None:
    """Weights of the text encoder in one row, the denoiser in the other; nobody touches the autoencoder."""
    rows = [row("dense"), row("pruned", sparsity=0.5), row("pruned", "random", sparsity=0.5)]
    full = {"parameters": 100, "nonzeros": 100, "macs": 40, "macs_without_attention": 40}
    for one in rows:
        one["cost"]["components"] = {"denoiser": full, "text_encoder": full, "vae": full}
    rows[1]["cost"]["components"] |= {"denoiser": {**full, "parameters": 50, "nonzeros": 50, "macs": 10}}
    rows[2]["cost"]["components"] |= {"text_encoder": {**full, "nonzeros": 20}}
    rows[2]["sparsity"]["nominal"] = 0.8  # single weights: zeros are what went
    first, second = paretos(rows)[0].points
    assert first.left == pytest.approx({"nonzeros": 75, "macs": 62.5, "latency": 100})
    assert second.left == pytest.approx({"nonzeros": 60, "macs": 100, "latency": 100})


def test_zeros_by_chance_are_no_removal(row: MakeRow) -> None:
    """Of two models of one shape neither is the cheaper, whatever training left in their weights."""
    rows = [row("dense"), *(row(state, seed=0) for state in ("pruned", "recovered", "scratch"))]
    rows[3]["cost"]["components"] = {
        "denoiser": {**rows[3]["cost"]["components"]["denoiser"], "nonzeros": 690}
    }
    rows[3]["metrics"]["frechet_distance"]["value"] = 400
    rows.append(row("pruned", sparsity=0.5))
    plot = paretos(rows)[0]
    assert [point.left["nonzeros"] for point in plot.points] == [70, 70, 70, 50]
    assert all(quality < 400 for _, quality in plot.front("nonzeros"))


def test_models_are_not_mixed(sweep: list[dict[str, Any]]) -> None:
    other = [{**one, "model": "another"} for one in sweep]
    names = [plot.name for plot in paretos([*sweep, *other])]
    assert names == ["model: tiny_t2i", "model: tiny_t2i", "model: another", "model: another"]


def test_latency_is_of_the_first_setting_that_both_were_timed_in(row: MakeRow) -> None:
    rows = [row("dense", median=8.0), row("pruned", median=6.0), row("pruned", sparsity=0.5, median=2.0)]
    rows[2]["cost"]["latency_ms"] = {}
    plot = paretos(rows)[0]
    assert [point.left.get("latency") for point in plot.points] == [pytest.approx(75), None]
    assert [cost for cost, _ in plot.front("latency")] == pytest.approx([75, 100])
    rows[1]["cost"]["dense_latency_ms"] = {"denoiser_b1": {"median": 12.0, "p95": 13.0}}
    point = paretos(rows)[0].points[0]
    assert point.left["latency"] == pytest.approx(50), "against the one measured in turns with it"


def test_one_choice_makes_no_plot(rows: list[dict[str, Any]]) -> None:
    assert paretos(rows) == []
    assert paretos([]) == []
