"""Prune: scores and a budget become a plan, the plan a smaller model that is saved."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import nn

from prunelab.core.protocols import AllocatingBudget, Budget, Model
from prunelab.core.scores import Plan, Scores, check_scores, removed
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit, by_component
from prunelab.costs.component import model_costs
from prunelab.costs.counts import Counts
from prunelab.costs.ledger import CostLedger
from prunelab.costs.meta_copy import meta_copy
from prunelab.costs.parameters import parameters
from prunelab.costs.zeroed import nominal, single_weights, zeroed
from prunelab.stages.bench import Artifact, Bench, Part, Write, write_json, write_tensors
from prunelab.stages.cost import dense_costs
from prunelab.stages.layers import log_plan
from prunelab.stages.score import load_scores
from prunelab.stages.time import timetables
from prunelab.surgery.slimming import slim
from prunelab.tracking.protocol import Run

VERSION = 2
ZEROS = 1  # what single weights add to the version: 1 since the model says which it lost


def make_plan(
    bench: Bench,
    units: Sequence[Unit],
    scores: Scores,
    budget: Part[Budget],
    sparsity: Sparsity,
    allocation: Scores | None = None,
) -> Plan:
    """The plan that meets the budget, or a Refusal that says what would.

    ``allocation``: the scores of the scorer that the budget reads beside ``scores``, where it asks for one.
    """
    check_scores(scores, units)
    times = timetables(bench, units)[0] if budget.value.of == "latency" else None
    smaller = partial(_smaller, bench.model, units)
    ledger = CostLedger(budget.value.of, bench.model, units, times, smaller, bench.counts)
    if allocation is None:
        return budget.value.plan(scores, units, ledger, sparsity)
    assert isinstance(budget.value, AllocatingBudget)
    check_scores(allocation, units)
    return budget.value.plan(scores, units, ledger, sparsity, allocation)


def _smaller(model: Model, units: Sequence[Unit], component: str, plan: Plan) -> nn.Module:
    """The structure of a component after ``plan``, without weights."""
    members = [unit for unit in units if unit.component == component]
    return slim(meta_copy(model.components[component]), members, plan)


def slimmed(model: Model, units: Sequence[Unit], plan: Plan) -> Model:
    """The model with its pruned components exchanged."""
    chosen = by_component(units).items()
    return model.with_components({name: slim(model.components[name], own, plan) for name, own in chosen})


def achieved(
    units: Sequence[Unit],
    plan: Plan,
    whole: Mapping[str, Mapping[str, int]],
    costs: Mapping[str, Mapping[str, int]],
) -> dict[str, float]:
    """Removed / total of elements, parameters, non-zeros and MACs, over the components with chosen units.

    ``whole``: the dense model's costs, ``costs``: the pruned one's.
    """
    components = list(by_component(units))

    def share(key: str) -> float:
        before = sum(whole[name][key] for name in components)
        return 1 - sum(costs[name][key] for name in components) / before

    elements = removed(plan) / sum(unit.elements for unit in units)
    return {"elements": elements, **{key: share(key) for key in ("parameters", "nonzeros", "macs")}}


def nominal_total(model: Model, units: Sequence[Unit], sparsity: Sparsity) -> float | None:
    """The total sparsity as the study of Stable Diffusion 2 counts it; None unless weights go one by one."""
    if not single_weights(units):
        return None
    return nominal({name: parameters(model.components[name]) for name in by_component(units)}, sparsity)


def planned_costs(
    model: Model, units: Sequence[Unit], plan: Plan, counts: Counts | None = None
) -> dict[str, dict[str, int]]:
    """Costs per component and in total after ``plan``; weights that become zero need no copy of the model."""
    structural = [unit for unit in units if unit.matrix is None]
    costs = model_costs(slimmed(model, structural, plan) if structural else model, counts)
    for name, members in by_component([unit for unit in units if unit.matrix is not None]).items():
        gone = zeroed(model.components[name], members, plan)
        costs[name]["nonzeros"] -= gone
        costs["total"]["nonzeros"] -= gone
    return costs


def prune(
    bench: Bench,
    scores: Artifact,
    units: Sequence[Unit],
    budget: Part[Budget],
    sparsity: Sparsity,
    allocation: Artifact | None = None,
) -> Artifact:
    """The pruned model: ``model/`` (a diffusers folder), ``plan.safetensors`` and ``pruned.json``.

    ``allocation``: as of :func:`make_plan`.
    """

    def make(scratch: Path, run: Run) -> Write:
        second = load_scores(allocation) if allocation else None
        plan = make_plan(bench, units, load_scores(scores), budget, sparsity, second)
        model = slimmed(bench.model, units, plan)
        costs = model_costs(model, bench.counts)
        shares = achieved(units, plan, whole, costs)
        run.conclude({f"achieved/{name}": share for name, share in shares.items()})
        log_plan(run, plan, units)
        total = {"nominal": nominal_total(bench.model, units, sparsity)}

        def write(folder: Path) -> None:
            model.save(folder / "model")
            write_tensors(folder / "plan.safetensors", plan)
            write_json(folder / "pruned.json", {"costs": costs, "achieved": {**shares, **total}})

        return write

    whole = dense_costs(bench)  # a stage's computation never starts another's
    asked = {"budget": dict(budget.settings), "sparsity": sparsity.asked}
    settings = {**asked, "units": [unit.name for unit in units]}
    parents = {"scores": scores.address}
    if allocation:
        parents["allocation"] = allocation.address
    if budget.value.of == "latency":  # measured beforehand as well
        parents["timetable"] = timetables(bench, units)[1]
    version = VERSION + ZEROS * any(unit.matrix is not None for unit in units)
    return bench.artifact("prune", budget.name, version, settings, make, parents)
