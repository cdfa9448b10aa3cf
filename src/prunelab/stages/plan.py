"""Plan: what would go and what it would cost; nothing is computed on data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from prunelab.core.scores import Plan, Scores
from prunelab.core.units import Unit
from prunelab.costs.component import model_costs
from prunelab.costs.zeroed import zeros
from prunelab.scorers.random import Random
from prunelab.stages.allocation import scorers
from prunelab.stages.bench import Bench, write_json
from prunelab.stages.bypass import origin_of
from prunelab.stages.preflight import chosen
from prunelab.stages.price import price
from prunelab.stages.prune import make_plan, nominal_total, planned_costs
from prunelab.stages.request import Request, fitted
from prunelab.stages.score import stored_scores
from prunelab.walkers.coverage import missed

SCHEMA = 1


class Unread:
    """In the place of training examples, which a plan does without."""

    def prompts(self, draws: range) -> list[str]:
        """Empty texts."""
        return [""] * len(draws)

    def media(self, draws: range) -> Tensor:
        """None."""
        return torch.empty(0)


def plan(bench: Bench, request: Request, folder: Path) -> dict[str, Any]:
    """Write ``plan.json`` into ``folder`` and return its content.

    Scores come from the store where an earlier run left them, else they are drawn at random from the
    seed and labelled ``random``.
    """
    request = fitted(request, bench.model)
    units = chosen(bench, request, Unread())
    stored = _stored(bench, request, units)
    scores = stored or [Random(request.seed).score(bench.model, units)]
    made = make_plan(bench, units, scores[0], request.budget, request.sparsity, *scores[1:])
    figures = costs(bench, units, made)
    content = {
        "schema": SCHEMA,
        "scores": request.scorer.name if stored else "random",
        "model": request.labels["model"],
        "budget": request.budget.name,
        "sparsity": {
            "requested": request.sparsity.asked,
            "of": request.sparsity.of,
            "nominal": nominal_total(bench.model, units, request.sparsity),
            "given_pruned": bench.model.pruned(),
        },
        "zeros": zeros(units, made),
        "total": figures.pop("total"),
        "components": figures,
        "not_recognised": not_recognised(bench, request, units),
        "price": price(bench, request, units),
        "units": [_described(unit, made) for unit in units],
    }
    write_json(folder / "plan.json", content)
    return content


def not_recognised(bench: Bench, request: Request, units: Sequence[Unit]) -> list[dict[str, Any]]:
    """The modules that look like what is asked for and give no units, by component, granularity and class."""
    left = missed(bench.model.components, request.components, request.granularity, units)
    return [
        {"component": each.component, "granularity": each.granularity, **asdict(kind)}
        for each in left
        for kind in each.missed
    ]


def _stored(bench: Bench, request: Request, units: Sequence[Unit]) -> list[Scores]:
    """The scores that rank, and those that the budget reads besides; none unless all are stored."""
    origin = origin_of(bench, units, request.bypass)
    asked = scorers(request.scorer, request.budget)
    found = [stored_scores(bench, scorer, units, origin) for scorer in asked]
    known = [scores for scores in found if scores is not None]
    return known if len(known) == len(found) else []


def costs(bench: Bench, units: Sequence[Unit], plan: Plan) -> dict[str, dict[str, Mapping[str, int]]]:
    """Component (and ``total``) -> cost -> its dense and its pruned figure."""
    before = model_costs(bench.model, bench.counts)
    after = planned_costs(bench.model, units, plan, bench.counts)
    return {
        name: {key: {"dense": value, "pruned": after[name][key]} for key, value in figures.items()}
        for name, figures in before.items()
    }


def _described(unit: Unit, plan: Plan) -> dict[str, Any]:
    removed = unit.elements - int(plan[unit.name].sum())
    return {"name": unit.name, "granularity": unit.granularity, "elements": unit.elements, "removed": removed}


def table(content: Mapping[str, Any]) -> Table:
    """The plan for people: what each component costs before and after."""
    shown = Table(
        "component",
        "cost",
        "dense",
        "pruned",
        "removed",
        title=f"plan from {content['scores']} scores",
        caption=_zeros(content),
    )
    for name, figures in {**content["components"], "total": content["total"]}.items():
        for cost, figure in figures.items():
            share = 1 - figure["pruned"] / figure["dense"] if figure["dense"] else 0.0
            shown.add_row(
                name, cost.replace("_", " "), f"{figure['dense']:,}", f"{figure['pruned']:,}", f"{share:.1%}"
            )
    return shown


def _zeros(content: Mapping[str, Any]) -> str | None:
    """The zeros of a plan over single weights beside the total that the study of SD 2 would name."""
    nominal = content["sparsity"]["nominal"]
    if nominal is None:
        return None
    total = sum(content["zeros"].values())
    held = sum(content["components"][name]["parameters"]["dense"] for name in content["zeros"])
    return (
        f"{total:,} zeros are {total / held:.1%} of the {held:,} parameters of "
        f"{' and '.join(content['zeros'])}; counted as if every parameter could go "
        f"the request is {nominal:.1%} (nominal)"
    )
