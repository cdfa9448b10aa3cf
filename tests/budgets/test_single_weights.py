"""Budgets over single weights against plain loops, on matrices small enough to be read."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.groups import Groups
from prunelab.budgets.lowest import lowest
from prunelab.budgets.n_of_m import NOfM
from prunelab.budgets.owl import Owl
from prunelab.budgets.per_component import PerComponent
from prunelab.budgets.uniform import Uniform
from prunelab.core.errors import Refusal
from prunelab.core.scores import removed
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit


class Counting:
    """A ledger in which every element costs one."""

    def cost(self, unit: Unit) -> float:
        return 1.0

    def total(self, component: str) -> float:
        return float(sum(unit.elements for unit in UNITS if unit.component == component))


def matrix(name: str, rows: int, columns: int, layer: str, component: str = "denoiser") -> Unit:
    shape = (rows, columns)
    return Unit(
        component, name, "weight", rows * columns, (), Gate(name, "weight"), name, matrix=shape, layer=layer
    )


UNITS = [
    matrix("a", 5, 12, "block.0"),
    matrix("b", 4, 24, "block.1"),
    matrix("c", 3, 12, ""),
    matrix("d", 6, 12, "layer.0", "text_encoder"),
    matrix("e", 6, 12, "layer.1", "text_encoder"),
    matrix("f", 6, 12, "layer.2", "text_encoder"),
]
HEAD = Unit("denoiser", "h", "head", 4, (), Gate("h", "input"), "h")


def scores(seed: int = 0, tied: bool = False) -> dict[str, Tensor]:
    """Heavy-tailed scores, so that some are outliers; ``tied``: few different values."""
    random = np.random.default_rng(seed)
    drawn = {unit.name: np.exp(2.5 * random.standard_normal(unit.elements)) for unit in UNITS}
    return {name: torch.from_numpy(np.ceil(v) if tied else v) for name, v in drawn.items()}


def planned(budget: object, sparsity: object, given: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(budget.plan(given, UNITS, Counting(), Sparsity(sparsity)))  # type: ignore[attr-defined]


def without_lowest(values: list[float], share: float) -> list[bool]:
    """Keep-mask by a full sort of (value, index)."""
    gone = sorted(range(len(values)), key=lambda i: (values[i], i))[: int(len(values) * share + 1e-9)]
    return [i not in set(gone) for i in range(len(values))]


def in_chunks(values: list[float], size: int, share: float) -> list[bool]:
    return [
        keep
        for start in range(0, len(values), size)
        for keep in without_lowest(values[start : start + size], share)
    ]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.475, 0.9])
def test_rows_and_matrices_by_a_full_sort(share: float, tied: bool) -> None:
    given = scores(1, tied)
    for scope in ("row", "matrix"):
        plan = planned(Groups(scope), share, given)
        for unit in UNITS:
            assert unit.matrix is not None
            width = unit.matrix[1] if scope == "row" else unit.elements
            assert plan[unit.name].tolist() == in_chunks(given[unit.name].tolist(), width, share)


@pytest.mark.parametrize("tied", [False, True])
def test_components_and_everything_by_a_full_sort(tied: bool) -> None:
    given = scores(2, tied)
    groups = {"global": [UNITS], "component": [UNITS[:3], UNITS[3:]]}
    for scope, groupings in groups.items():
        plan = planned(Groups(scope), 0.3, given)
        for members in groupings:
            joined = [value for unit in members for value in given[unit.name].tolist()]
            kept = [keep for unit in members for keep in plan[unit.name].tolist()]
            assert kept == without_lowest(joined, 0.3)


def test_exactly_int_n_s_zeros_per_group() -> None:
    plan = planned(Groups("row"), 0.35, scores())
    for unit in UNITS:
        assert unit.matrix is not None
        zeros = (~plan[unit.name]).reshape(unit.matrix).sum(dim=1)
        assert zeros.tolist() == [int(unit.matrix[1] * 0.35)] * unit.matrix[0]
    everywhere = planned(Groups("global"), 0.35, scores())
    assert removed(everywhere) == int(sum(unit.elements for unit in UNITS) * 0.35)


def test_a_share_per_component_and_none_for_the_other() -> None:
    plan = planned(Groups(), {"text_encoder": 0.475}, scores())
    assert all(bool(plan[unit.name].all()) for unit in UNITS[:3])
    assert [int((~plan[unit.name]).sum()) for unit in UNITS[3:]] == [int(72 * 0.475)] * 3


def test_all_scores_equal_go_by_index() -> None:
    assert lowest(torch.ones(2, 6), 2).tolist() == [[True, True, False, False, False, False]] * 2
    assert lowest(torch.tensor([[3.0, 1.0, 1.0, 0.0, 1.0]]), 3).tolist() == [[False, True, True, True, False]]


@pytest.mark.parametrize("kind", ["different", "tied", "zero", "sorted", "sampled apart"])
def test_among_a_million_weights_the_lowest_go(kind: str) -> None:
    """More than the sample that the limit is looked up in: ties go by unit name and index, as in a sort."""
    units = [matrix(name, 600, 1000, "") for name in ("m10", "m9")]  # m10 comes first by name
    values = np.random.default_rng(7).random(1_200_000)
    values = {"tied": np.ceil(9 * values), "zero": 0 * values, "sorted": np.sort(values)}.get(kind, values)
    if kind == "sampled apart":
        values[::12] += 10  # what the sample sees is above all the rest
    given = dict(zip((unit.name for unit in units), torch.from_numpy(values).split(600_000), strict=True))
    plan = Groups("global").plan(given, units[::-1], Counting(), Sparsity(0.35))
    expected = np.ones(len(values), dtype=bool)
    expected[np.argsort(values, kind="stable")[: int(len(values) * 0.35)]] = False
    assert [*plan] == [unit.name for unit in units[::-1]]
    assert np.array_equal(torch.cat([plan[unit.name] for unit in units]).numpy(), expected)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("m", "share"), [(4, 0.5), (4, 0.25), (2, 0.5), (12, 0.75)])
def test_n_of_m_by_a_loop(m: int, share: float, tied: bool) -> None:
    given = scores(3, tied)
    plan = planned(NOfM(m), share, given)
    for unit in UNITS:
        assert plan[unit.name].tolist() == in_chunks(given[unit.name].tolist(), m, share)


def test_n_of_m_refuses_what_is_no_whole_pattern() -> None:
    with pytest.raises(
        Refusal, match=r"12 weights, no multiple of budget\.m=8: .*m=2 or 3 or 4 or 6 or 12 fits"
    ):
        planned(NOfM(8), 0.5, scores())
    with pytest.raises(Refusal, match=r"0\.25, 0\.5, 0\.75"):
        planned(NOfM(4), 0.3, scores())
    assert removed(planned(NOfM(8), 0.0, scores())) == 0  # nothing goes, so no width matters


def outlier_share(values: list[float]) -> float:
    mean = math.fsum(values) / len(values)
    return sum(value > 7 * mean for value in values) / len(values)


@pytest.mark.parametrize("scope", ["row", "matrix"])
def test_owl_on_blocks_of_one_size_by_the_papers_formula(scope: str) -> None:
    given, share, spread = scores(4), 0.5, 0.08
    blocks = [given[unit.name].tolist() for unit in UNITS[3:]]
    ratios = [outlier_share(block) for block in blocks]
    low, high = min(ratios), max(ratios)
    assert low < high
    scaled = [(ratio - low) * (2 * spread / (high - low)) for ratio in ratios]
    keep = [ratio - sum(scaled) / len(scaled) + (1 - share) for ratio in scaled]
    plan = planned(Owl(scope), {"text_encoder": share}, given)
    for unit, values, kept in zip(UNITS[3:], blocks, keep, strict=True):
        width = 12 if scope == "row" else 72
        assert plan[unit.name].tolist() == in_chunks(values, width, 1 - kept)


def test_owl_keeps_the_total_where_blocks_differ_in_size() -> None:
    shares = Owl().block_shares(scores(5), UNITS[:3], 0.4)
    assert set(shares) == {"block.0", "block.1"}
    assert shares["block.0"] != pytest.approx(0.4)
    assert (60 * shares["block.0"] + 96 * shares["block.1"]) / 156 == pytest.approx(0.4)
    plan = planned(Owl(), {"denoiser": 0.4}, scores(5))
    assert int((~plan[UNITS[2].name]).sum()) == int(36 * 0.4)  # in no block


def by_the_study(metric: list[list[float]], share: float) -> list[float]:
    """What each block loses, as the study of Stable Diffusion 2 computes it: percent, floor and all."""
    ratios = np.array([100 * outlier_share(block) for block in metric])
    ratios = (ratios - ratios.min()) * (1 / (ratios.max() - ratios.min()) * 0.08 * 2)
    ratios = ratios - ratios.mean() + (1 - share)
    return [float(lost) if lost > 0 else 0.01 for lost in 1 - ratios]


@pytest.mark.parametrize("cut", ["exact", "published"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_owl_with_magnitude_counts_the_outliers_of_wandas_scores(share: float, cut: str) -> None:
    magnitude, wanda = scores(6, tied=True), scores(4)
    lost = by_the_study([wanda[unit.name].tolist() for unit in UNITS[3:]], share)
    assert lost != pytest.approx(by_the_study([magnitude[u.name].tolist() for u in UNITS[3:]], share))
    assert (0.01 in lost) == (share == 0.05)  # the floor is reached where little is asked for
    asked = {"denoiser": share, "text_encoder": share}
    budget = Owl(cut=cut, components=["text_encoder"])
    plan = budget.plan(magnitude, UNITS, Counting(), Sparsity(asked), wanda)
    for unit, each in zip(UNITS, [share] * 3 + lost, strict=True):
        values, place = magnitude[unit.name].numpy(), int(unit.elements * each)
        if cut == "exact":
            expected = without_lowest(values.tolist(), each)
        else:  # the study's index is one further under OWL
            place -= unit.component == "denoiser"
            expected = (values > np.sort(values)[place]).tolist()
        assert plan[unit.name].tolist() == expected


def test_owl_with_its_own_scores_counts_their_outliers() -> None:
    wanda = scores(4)
    one = Owl("row").plan(wanda, UNITS[3:], Counting(), Sparsity(0.5))
    other = Owl("row").plan(wanda, UNITS[3:], Counting(), Sparsity(0.5), wanda)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.475, 0.9])
def test_the_published_cut_takes_ties_along(share: float) -> None:
    """Magnitude in the study: the mask is all at or below the value in place int(n * s) - 1."""
    given = scores(1, tied=True)
    plan = planned(Groups(cut="published"), share, given)
    for unit in UNITS:
        values = given[unit.name].numpy()
        limit = np.sort(values)[int(unit.elements * share) - 1] if share else -np.inf
        assert plan[unit.name].tolist() == (values > limit).tolist()
    rows = [planned(Groups("row", cut), share, given) for cut in ("exact", "published")]
    assert all(torch.equal(rows[0][name], rows[1][name]) for name in rows[0])  # a stable sort in the study


def test_owl_without_differences_is_groups() -> None:
    given = {unit.name: torch.arange(unit.elements).double() for unit in UNITS}
    one, other = planned(Owl(), 0.3, given), planned(Groups(), 0.3, given)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_budgets_refuse_units_they_cannot_take() -> None:
    heads = {HEAD.name: torch.arange(4.0)}
    for budget in (Groups(), NOfM(), Owl()):
        with pytest.raises(Refusal, match="granularity=weight"):
            budget.plan(heads, [HEAD], Counting(), Sparsity(0.5))
    for structural in (Uniform(), Everywhere(), PerComponent()):
        with pytest.raises(Refusal, match="budget=groups, n_of_m or owl"):
            structural.plan(scores(), UNITS, Counting(), Sparsity(0.5))
    outside = [matrix("z", 2, 4, "")]
    with pytest.raises(Refusal, match="lie in none: use budget=groups"):
        Owl().plan({outside[0].name: torch.arange(8.0)}, outside, Counting(), Sparsity(0.5))


def test_bad_choices_are_refused() -> None:
    with pytest.raises(Refusal, match="row, matrix, component, global"):
        Groups("column")
    with pytest.raises(Refusal, match="row, matrix"):
        Owl("component")
    with pytest.raises(Refusal, match="cut=sharp is unknown"):
        Owl(cut="sharp")
    with pytest.raises(Refusal, match=r"budget\.cut=exact"):
        Groups("global", cut="published")
    with pytest.raises(Refusal, match="floor"):
        Owl(floor=-0.1)
    with pytest.raises(Refusal, match=r"spread=0\.6 is too large: it must be below 0\.5"):
        Owl(spread=0.6)
    with pytest.raises(Refusal, match="m=1 is too small: at least 2"):
        NOfM(1)
    with pytest.raises(Refusal, match=r"budget\.scope=component"):
        planned(Groups("global"), {"denoiser": 0.5}, scores())
    with pytest.raises(Refusal, match="'unet'"):
        planned(Groups(), {"unet": 0.5}, scores())
