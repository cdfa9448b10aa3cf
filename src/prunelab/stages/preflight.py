"""What of a request is refused before work starts: by a run all of it, by a plan what needs no data."""

from prunelab.core.protocols import Calibration, OptimisingScorer
from prunelab.core.tasks import Task
from prunelab.core.units import Unit
from prunelab.engine.placement import check_hardware
from prunelab.scorers.random import Random
from prunelab.stages.allocation import scorers
from prunelab.stages.bench import Bench
from prunelab.stages.encode import check_kind, check_media
from prunelab.stages.own_samples import without_real
from prunelab.stages.prune import make_plan
from prunelab.stages.recover import check_recovery
from prunelab.stages.request import Request
from prunelab.stages.score import check_scorer, choose_units


def check(bench: Bench, request: Request) -> list[Unit]:
    """The units, after refusing whatever can be refused without a forward pass.

    The budget is tried on random scores: whether it can be met does not depend on them.
    """
    check_kind(bench)
    check_data(bench.task, request)
    units = chosen(bench, request, bench.task.calibration(0))
    if request.looks_at_media and bench.task.has_media:
        check_media(bench)
    make_plan(bench, units, Random().score(bench.model, units), request.budget, request.sparsity)
    return units


def chosen(bench: Bench, request: Request, calibration: Calibration) -> list[Unit]:
    """The units, after refusing what of the request does not fit the model, the machine or itself.

    Of the calibration only prompts are read, and none counts: what cannot be trained is refused by any.
    """
    units = choose_units(bench, request.granularity, request.components, request.bypass.value.needed)
    asked = scorers(request.scorer, request.budget)
    for scorer in asked:
        check_scorer(scorer, units)
    if request.recovery is not None:
        check_recovery(request.recovery, bench.model, units, request.scratch)
    check_hardware(bench.hardware)
    for scorer in asked:
        if isinstance(scorer.value, OptimisingScorer):
            scorer.value.objective(bench.model, units, calibration)
    return units


def check_data(task: Task, request: Request) -> None:
    """Refuse data without the columns and examples that evaluation and recovery need; takes no model."""
    looks = request.looks_at_media and task.has_media
    task.check(without_real(request, task).evaluation.value.examples, media=looks)
