"""The knapsack budget over many elements: whether it keeps its limit, and how near its plans are to the best.

    python benchmarks/knapsack.py [--elements 70000] [--units 100] [--shares 0.1 0.3 0.6]

Synthetic units share the elements; one unit's cost the same. Their scores are of four families: uniform, of a
heavy tail, the costs to one per cent, and all equal. A row's gap is to the plan that may divide elements,
found by sorting: no plan is better. Where the budget refuses, that is the answer.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable

import torch
from goals import load, noted
from torch import Tensor

from prunelab.budgets.covering import GOOD, SECONDS
from prunelab.budgets.knapsack import Knapsack
from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit

Family = Callable[[Tensor, torch.Generator], Tensor]
FAMILIES: dict[str, Family] = {
    "scores apart from costs": lambda costs, draw: torch.rand(len(costs), generator=draw).double(),
    "scores of a heavy tail": lambda costs, draw: (
        torch.randn(len(costs), generator=draw).mul(4).exp().double()
    ),
    "scores like costs": lambda costs, draw: costs * (1 + torch.rand(len(costs), generator=draw) / 100),
    "equal scores": lambda costs, _: torch.ones_like(costs),
}


class Prices:
    """What an element of each unit costs."""

    def __init__(self, costs: dict[str, float], elements: int) -> None:
        self.costs, self.elements = costs, elements

    def cost(self, unit: Unit) -> float:
        """Of one element."""
        return self.costs[unit.path]

    def total(self, component: str) -> float:
        """Of all elements."""
        return sum(self.costs.values()) * self.elements


def bound(scores: Tensor, costs: Tensor, target: float) -> float:
    """The least score of elements that may be divided, whose costs add up to the target."""
    order = (scores / costs).argsort(stable=True)
    before = costs[order].cumsum(0) - costs[order]
    shares = ((target - before) / costs[order]).clamp(0, 1)
    return float((shares * scores[order]).sum())


def answer(family: Family, share: float, units: list[Unit], seed: int) -> tuple[float, float | None]:
    """Seconds, and the gap; None where the budget refuses."""
    draw, size = generator(seed, 0, "knapsack"), units[0].elements
    prices = {unit.path: float(torch.randint(100, 5000, (), generator=draw)) for unit in units}
    costs = torch.tensor([*prices.values()], dtype=torch.float64).repeat_interleave(size)
    scores = family(costs, draw)
    rows = {unit.name: row for unit, row in zip(units, scores.split(size), strict=True)}
    ledger = Prices(prices, size)
    start = time.perf_counter()
    try:
        plan = Knapsack().plan(rows, units, ledger, Sparsity(share))
    except Refusal as refusal:
        print(f"refused: {refusal}")
        return time.perf_counter() - start, None
    seconds = time.perf_counter() - start
    gone = ~torch.cat([*plan.values()])
    target = share * ledger.total("")
    assert costs[gone].sum() >= target * (1 - 1e-9), "the plan has to meet its target"
    return seconds, float(scores[gone].sum() / bound(scores, costs, target)) - 1


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=70_000, help="in all units together")
    parser.add_argument("--units", type=int, default=100, help="that share them")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 0.6], help="that go")
    asked = parser.parse_args()
    paths, size = [f"unit{number}" for number in range(asked.units)], asked.elements // asked.units
    units = [Unit("denoiser", path, "neuron", size, (), Gate(path, "output"), path) for path in paths]
    print(f"{load()}; {size * len(units)} elements in {len(units)} units")
    print(f"{'':28} {'share':>5} {'seconds':>8} {'gap':>9}")
    slow, gaps = [], []
    for name, family in FAMILIES.items():
        for seed, share in enumerate(asked.shares):
            seconds, gap = answer(family, share, units, seed)
            slow.append(seconds)
            gaps += [] if gap is None else [gap]
            print(
                f"{name:28} {share:5.2f} {seconds:8.2f} {'refused' if gap is None else f'{gap:9.1e}'}",
                flush=True,
            )
    kind = f"knapsack over {size * len(units)} elements"
    # The limit is the program's; ranking and rounding, which take no search, stand beside it.
    print(noted(f"{kind}: seconds of the slowest plan", [max(slow)], most=SECONDS + 5, unit=" s").line())
    if gaps:
        print(
            noted(
                f"{kind}: largest gap to the best, in %", [100 * max(gaps)], most=100 * GOOD, unit="%"
            ).line()
        )


if __name__ == "__main__":
    main()
