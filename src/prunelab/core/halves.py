"""Scores from sums over samples, and from either half of these, so that the two can be held together."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunelab.core.observation import EARLY, Observation
from prunelab.core.units import Unit

FEW = 4  # samples of the first round
MOST = 1_000_000  # elements of a kind whose ranks are compared: every k-th of more
Statistics = Mapping[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """How scores follow from sums over samples, unit by unit.

    needs: what of the sums a unit's scores follow from, linear in them. read: the scores, float64
    (elements,), from what ``needs`` gave and from how many samples it is a sum of.
    """

    units: Sequence[Unit]
    needs: Callable[[Unit, Statistics], Statistics]
    read: Callable[[Unit, Statistics, int], Tensor]


class Averaged(dict[str, Tensor]):
    """Scores of ``samples`` samples; ``halves``: how many each half had, empty where no half was summed."""

    def __init__(self, sums: Statistics, samples: int, first: int, reading: Reading) -> None:
        self._sums, self._reading = sums, reading
        self.samples = samples
        apart = 0 < first < samples and any(name.startswith(EARLY) for name in sums)
        self.halves = (first, samples - first) if apart else ()
        read, needs = reading.read, reading.needs
        super().__init__({u.name: read(u, needs(u, sums), samples) for u in reading.units})

    def of_halves(self, unit: Unit) -> tuple[Tensor, Tensor]:
        """The unit's scores by either half alone, computed whenever they are asked for: few fit at once."""
        own = {name[len(EARLY) :]: each for name, each in self._sums.items() if name.startswith(EARLY)}
        early, every = self._reading.needs(unit, own), self._reading.needs(unit, self._sums)
        late = {name: every[name] - value for name, value in early.items()}
        halves = zip((early, late), self.halves, strict=True)
        one, other = (self._reading.read(unit, sums, samples) for sums, samples in halves)
        return one, other


def agreements(scores: Averaged, units: Sequence[Unit], kept: Statistics) -> dict[str, float | None]:
    """Spearman's correlation of the halves' scores, by ``component/granularity``, as elements are ranked.

    kept: unit name -> bool (elements,), the elements that are still there; a unit may be missing. None where
    fewer than two elements, or elements of one score, have no ranks.
    """
    kinds: dict[str, list[Unit]] = {}
    for unit in units:
        kinds.setdefault(f"{unit.component}/{unit.granularity}", []).append(unit)
    return {kind: _spearman(list(_pairs(scores, members, kept))) for kind, members in kinds.items()}


def _pairs(scores: Averaged, units: Sequence[Unit], kept: Statistics) -> Iterator[Tensor]:
    """Both halves' scores of a unit's elements, shape (2, some)."""
    step = -(-sum(unit.elements for unit in units) // MOST)
    for unit in units:
        pair = torch.stack(scores.of_halves(unit))
        yield (pair[:, kept[unit.name]] if unit.name in kept else pair)[:, ::step]


def _spearman(pairs: Sequence[Tensor]) -> float | None:
    from scipy.stats import spearmanr  # takes a second

    one, other = torch.cat(list(pairs), dim=1).numpy()
    if len(one) < 2 or one.min() == one.max() or other.min() == other.max():
        return None
    return float(spearmanr(one, other).statistic)


def between_batches(samples: int, batch_size: int) -> int:
    """How many samples whole batches hold that come nearest to one half; 0 where one batch holds them all."""
    cut = round(samples / 2 / batch_size) * batch_size
    return cut if cut < samples else 0


def rounds(samples: int) -> list[range]:
    """The samples in rounds, each of which doubles what there is."""
    ends = [min(FEW, max(1, samples // 2))]
    while ends[-1] < samples:
        ends.append(min(2 * ends[-1], samples))
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def averaged(
    samples: int,
    stable: float | None,
    cut: int,
    observation: Callable[[range, int], Observation],
    reading: Reading,
) -> Generator[Observation, Statistics, Averaged]:
    """Scores of all samples at once; with ``stable`` of as many rounds as it takes until ranks agree by it.

    cut: where the second half begins, if all are seen at once. observation: of these samples, the sums of
    those before ``cut`` kept beside the others (0: of none).
    """
    if stable is None:
        return Averaged((yield observation(range(samples), cut)), samples, cut, reading)
    first, *more = rounds(samples)
    sums = yield observation(first, 0)
    found = Averaged(sums, first.stop, 0, reading)
    for part in more:
        del found  # with the sums before the last ones
        both = yield observation(part, 0)
        for name, value in both.items():
            value.add_(sums[name])
        found = Averaged({**both, **_first(sums)}, part.stop, part.start, reading)
        known = [each for each in agreements(found, reading.units, {}).values() if each is not None]
        if known and min(known) >= stable:
            break
        sums = both
    return found


def _first(sums: Statistics) -> Statistics:
    return {f"{EARLY}{name}": value for name, value in sums.items()}
