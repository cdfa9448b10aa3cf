"""What a run is said to cost, held against passes that are counted while parts of it run."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunelab.core.draws import normal
from prunelab.core.prices import Price, under_guidance
from prunelab.core.protocols import Calibration
from prunelab.engine.observe import observe
from prunelab.evaluation.evaluation import Evaluation
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.distill import Distill
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.lora import Lora
from prunelab.recovery.training_draws import Draws
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.latent_shift import LatentShift
from prunelab.scorers.learned_gates import LearnedGates
from prunelab.scorers.loss_gradients import LOSSES
from prunelab.scorers.taylor import Taylor
from prunelab.scorers.wanda import Wanda
from prunelab.stages.bench import Bench
from prunelab.stages.evaluate import held_out_outputs, sampling
from prunelab.stages.price import _figures, evaluation, sets
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

PROMPTS = ["a red seven on a blue background", "a white two on a black background"]
CLOSE = 0.25


class Passes:
    """Samples that went through the denoiser, forwards and backwards."""

    def __init__(self) -> None:
        self.forward = self.backward = 0

    def see(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        rows = len(output)
        self.forward += rows
        if output.requires_grad:
            output.register_hook(lambda _: setattr(self, "backward", self.backward + rows))

    def hold(self, told: Price) -> None:
        assert told.forward == pytest.approx(self.forward, rel=CLOSE)
        assert told.backward == pytest.approx(self.backward, rel=CLOSE)
        assert self.forward > 0


@contextmanager
def counted(model: PipelineModel) -> Iterator[Passes]:
    """The last layer tells: calls that are only listened to do not come so far."""
    with torch.no_grad():
        model.decode(torch.zeros(1, *model.latent_shape))  # a model's first one asks its denoiser once
    passes = Passes()
    handle = model.components["denoiser"].conv_out.register_forward_hook(passes.see)
    try:
        yield passes
    finally:
        handle.remove()


@pytest.fixture
def calibration(make_bench: Callable[..., Bench], tmp_path: Path) -> Calibration:
    return make_bench(tmp_path).task.calibration(0)


@torch.no_grad()
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_latent_shift(model: PipelineModel, calibration: Calibration, guidance: float) -> None:
    scorer = LatentShift(samples=2, steps=2, guidance=guidance, batch_size=4)
    units = model.units(["block"], ["denoiser"])[:2]
    observation = next(scorer.passes(model, units, calibration))
    with counted(model) as passes:
        for rows in observation.batches:
            observation.observe(rows, torch.device("cpu"))
    passes.hold(scorer.price(model, units))


@pytest.mark.parametrize("scorer", [Taylor(2, None, 250), Taylor(2, 0.05, 100), Wanda(samples=2)])
def test_scorers_of_several_passes(
    model: PipelineModel, calibration: Calibration, scorer: Taylor | Wanda
) -> None:
    units = model.units(["weight" if isinstance(scorer, Wanda) else "head"], ["denoiser"])[:1]
    with counted(model) as passes:
        follow(scorer.passes(model, units, calibration), Hardware())
    passes.hold(scorer.price(model, units))


@torch.no_grad()
@pytest.mark.parametrize(
    "scorer",
    [Taylor(2, None, 500), Wanda(samples=2), LatentShift(2, steps=2, per_timestep=True), LatentShift(2, 1)],
)
def test_what_is_summed_over_samples(
    model: PipelineModel, calibration: Calibration, scorer: Taylor | Wanda | LatentShift
) -> None:
    """To the byte, but for the losses; a threshold has Taylor keep two such sets."""
    units = model.units(["weight" if isinstance(scorer, Wanda) else "head"], ["denoiser"])[:1]
    sums = observe(next(scorer.passes(model, units, calibration)), Hardware(halves=False), "test")
    sums.pop(LOSSES, None)
    told = scorer.price(model, units).sums
    assert told == sum(each.nbytes for each in sums.values()) > 0
    if isinstance(scorer, Taylor):
        assert replace(scorer, threshold=0.5).price(model, units).sums == 2 * told


@pytest.mark.parametrize("stable", [None, 0.9])
@pytest.mark.parametrize("halves", [True, False])
def test_how_many_sets_of_sums_are_kept(
    model: PipelineModel, calibration: Calibration, halves: bool, stable: float | None
) -> None:
    """What the scores were read from, to the byte; rounds are compared by halves whatever is asked for."""
    scorer = Taylor(samples=2, batch_size=1, threshold=None, stride=500, stable=stable)
    units, hardware = model.units(["head"], ["denoiser"])[:1], Hardware(halves=halves)
    found: Any = follow(scorer.passes(model, units, calibration), hardware)
    held = {id(each): each.nbytes for name, each in found._sums.items() if not name.endswith(LOSSES)}
    assert sum(held.values()) == sets(hardware, scorer) * scorer.price(model, units).sums > 0


@pytest.mark.parametrize(("activations", "kept"), [(0.0, 0), (1.0, 2)])
def test_learned_gates(model: PipelineModel, calibration: Calibration, activations: float, kept: int) -> None:
    """Steps that keep their activations do not run again."""
    schedule = Schedule(steps=1, batch_size=2, learning_rate=0.1)
    scorer = LearnedGates(schedule, prompts=2, steps=3, guidance=1.0, activations=activations)
    units = model.units(["head"], ["denoiser"])
    price = scorer.price(model, units)
    with counted(model) as passes:
        training = scorer.objective(model, units, calibration)
        training.loss(training.batch(range(2)))["loss"].backward()
    told = price.keeping(kept)
    assert (told.forward, told.backward) == (passes.forward, passes.backward)
    assert price.kept(size=2**20) == kept
    assert price.forward - price.keeping(kept).forward == 2 * kept


def test_a_plan_prices_activations_that_are_kept(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    """Fewer operations for more memory, as many steps as fit."""
    bench = make_bench(tmp_path)
    schedule = Schedule(steps=3, batch_size=2, learning_rate=0.1)
    found = {}
    for room in (0.0, 0.02, 1.0):
        scorer = LearnedGates(schedule, prompts=2, steps=10, guidance=1.0, activations=room)
        told = scorer.price(bench.model, bench.model.units(["head"], ["denoiser"]))
        found[room] = _figures(bench.model, "score", told, 5, None, {"forward": 1, "backward": 2 * 2**20})
    none, some, every = found.values()
    assert [each["forward_passes"] for each in found.values()] == [140, 140 - 6 * 5, 140 - 6 * 9]
    more = [each["peak_memory_bytes"] - none["peak_memory_bytes"] for each in (some, every)]
    assert more == [4 * 4 * 2**20, 8 * 4 * 2**20]
    assert none["flop"] > some["flop"] > every["flop"]


@pytest.mark.parametrize("method", [Distill(), Finetune(), Lora(Finetune())])
def test_recoveries(model: PipelineModel, method: Distill | Finetune | Lora) -> None:
    student = model.with_components({"denoiser": copy.deepcopy(model.components["denoiser"])})
    latents = normal(model.latent_shape, 0, range(4), "test")
    objective = method.objective(student, model, Draws(latents, PROMPTS * 2, model.timesteps, 0.1, 0))
    with counted(student) as learned, counted(model) as taught:
        objective.loss(objective.batch(range(4)))["loss"].backward()
    learned.forward += taught.forward
    learned.hold(method.price(4, 4))


@torch.no_grad()
def test_evaluation(model: PipelineModel, make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    task = make_bench(tmp_path).task
    knobs = Evaluation(samples=2, seeds=1, seen=0, steps=3, guidance=2.0, batch_size=2, real=2, held_out=3)
    latents = normal(model.latent_shape, 0, range(3), "test")
    looks = (
        sampling(model, task, knobs, PROMPTS, "test"),
        held_out_outputs(model, latents, (PROMPTS * 2)[:3], 0),
    )
    with counted(model) as passes:
        for each in looks:
            for rows in each.batches:
                each.observe(rows, torch.device("cpu"))
    passes.hold(evaluation(model, knobs, states=1))
    assert evaluation(model, replace(knobs, guidance=1.0), 2).forward == 2 * (2 * 3 + 3)


def test_guidance_asks_twice_where_there_are_prompts(model: PipelineModel) -> None:
    assert [under_guidance(model, each) for each in (1.0, 2.0)] == [1, 2]


def test_backward_passes_cost_two_forward_ones_or_one_where_weights_are_frozen() -> None:
    assert Price(3, 2).flop(5) == 2 * 5 * (3 + 4)
    assert Price(3, 2, frozen=True).flop(5) == 2 * 5 * (3 + 2)
