"""Allocation: the scorer that a budget reads beside the one that ranks, where it asks for one."""

from collections.abc import Sequence

from prunelab.core.protocols import AllocatingBudget, AnyScorer, Budget
from prunelab.core.units import Unit
from prunelab.stages.bench import Artifact, Bench, Part
from prunelab.stages.score import score


def second_scorer(budget: Part[Budget]) -> Part[AnyScorer] | None:
    """The scorer under ``allocation``, named by its class; None where the budget asks for none."""
    asked = budget.value
    if not isinstance(asked, AllocatingBudget) or asked.allocation is None:
        return None
    return Part(type(asked.allocation).__name__.lower(), asked.allocation, budget.settings["allocation"])


def scorers(ranking: Part[AnyScorer], budget: Part[Budget]) -> list[Part[AnyScorer]]:
    """The scorer that ranks, and the budget's own where it asks for one."""
    second = second_scorer(budget)
    return [ranking, second] if second else [ranking]


def allocation_scores(
    bench: Bench, budget: Part[Budget], units: Sequence[Unit], bypass: str, previous: Artifact | None
) -> Artifact | None:
    """The second scorer's scores, as :func:`prunelab.stages.score.score` makes them, or None."""
    scorer = second_scorer(budget)
    return score(bench, scorer, units, bypass, previous) if scorer else None
