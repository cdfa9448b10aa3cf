"""What the log says of scores and plans along a network: tables, histograms and pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from prunelab.core.previews import Preview
from prunelab.core.scores import Plan, Scores
from prunelab.core.units import Unit
from prunelab.report import along
from prunelab.report.along import Place
from prunelab.tracking.protocol import Run

MOST_ROWS = 20_000  # of the table of single scores
MOST_ELEMENTS = 10_000  # of a unit that are looked at for pictures: every k-th of more
QUANTILES = (0.1, 0.5, 0.9)
Numbers = NDArray[np.float64]


def log_scores(run: Run, scores: Scores, units: Sequence[Unit]) -> None:
    """Every score, how those of a kind of unit are distributed, and where along the network they are low."""
    if not run.listens:
        return
    _table_scores(run, scores, units)
    seen = {unit.name: _some(scores[unit.name]) for unit in units}
    for kind, members in _kinds(units).items():
        run.histogram(f"scores/{kind}", np.concatenate([seen[unit.name] for unit in members]))
    ranks = _ranks(seen, units)
    spread = {unit.name: np.quantile(ranks[unit.name], QUANTILES) for unit in units}
    places = [Place(unit.path, _kind(unit), *map(float, spread[unit.name])) for unit in units]
    said = "Scores along the network: the dots lowest down go first"
    picture = along.bands(said, "rank among its kind", places)
    run.show("scores/along", Preview("", "", ["median, and 80 % of each unit's elements"], [picture]))


def log_plan(run: Run, plan: Plan, units: Sequence[Unit]) -> None:
    """What went of every unit, as a table and as a picture along the network."""
    if not run.listens:
        return
    gone = {unit.name: unit.elements - int(plan[unit.name].sum()) for unit in units}
    rows = [
        (each.component, each.path, each.granularity, each.layer, each.elements, gone[each.name],
         gone[each.name] / each.elements)
        for each in units
    ]  # fmt: skip
    run.table("plan", ("component", "path", "granularity", "layer", "elements", "removed", "share"), rows)
    shares = [100 * gone[unit.name] / unit.elements for unit in units]
    places = [
        Place(unit.path, _kind(unit), 0.0, share, share) for unit, share in zip(units, shares, strict=True)
    ]
    picture = along.bars("What went along the network", "elements removed, %", places)
    run.show("plan/along", Preview("", "", ["share of each unit's elements that went"], [picture]))


def _table_scores(run: Run, scores: Scores, units: Sequence[Unit]) -> None:
    """A table of every element's score, or where these are too many of each unit's range."""
    if sum(unit.elements for unit in units) <= MOST_ROWS:
        rows = [(unit.name, i, value) for unit in units for i, value in enumerate(scores[unit.name].tolist())]
        run.table("scores", ("unit", "element", "score"), rows)
        return
    read = ((unit.name, scores[unit.name]) for unit in units)
    ranges = [(name, float(own.min()), float(own.mean()), float(own.max())) for name, own in read]
    run.table("scores", ("unit", "smallest", "mean", "largest"), ranges)


def _some(values: Tensor) -> Numbers:
    step = -(-values.numel() // MOST_ELEMENTS)
    found: Numbers = values.flatten()[::step].double().numpy()
    return found


def _ranks(seen: dict[str, Numbers], units: Sequence[Unit]) -> dict[str, Numbers]:
    """The place of every score among those of its kind, from 0, the first to go, to 1."""
    found: dict[str, Numbers] = {}
    for members in _kinds(units).values():
        every = np.sort(np.concatenate([seen[unit.name] for unit in members]))
        for unit in members:
            below = np.searchsorted(every, seen[unit.name], side="left")
            found[unit.name] = below / max(1, len(every) - 1)
    return found


def _kind(unit: Unit) -> str:
    return f"{unit.component} · {unit.granularity}"


def _kinds(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    kinds: dict[str, list[Unit]] = {}
    for unit in units:
        kinds.setdefault(_kind(unit), []).append(unit)
    return kinds
