"""Scores and training steps beside what a user would write instead: the papers' loops as plain PyTorch.

    python benchmarks/peers.py [--rounds 5] [--batch 4] [--steps 10] [--samples 32] [--stride 25]

Both ways of a row do the same work on the embedded text-to-image model, in turn, in one process. What is
printed is the peer's CPU time over this package's (above 1: this package is faster), the median of the
rounds and their range, and how far the two results differ. Whatever else the machine does slows both.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from goals import load, noted
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from prunelab.core.draws import normal
from prunelab.core.observation import Sums
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.models.pipeline import PipelineModel
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.latent_shift import LatentShift
from prunelab.scorers.learned_gates import LearnedGates, hard_concrete
from prunelab.scorers.taylor import Taylor
from prunelab.stages.score import follow
from prunelab.tasks.judged_data import ShuffledExamples
from prunelab.trainers.hardware import Hardware


@dataclass(frozen=True)
class Setting:
    """What the rows are measured on."""

    model: PipelineModel
    examples: ShuffledExamples
    batch: int
    steps: int
    samples: int
    stride: int

    @property
    def unet(self) -> Any:
        """The denoiser as diffusers has it."""
        return self.model.components["denoiser"]

    def states(self, prompts: list[str]) -> Tensor:
        """What the U-Net attends to."""
        found: Tensor = self.model.pipeline.encode_prompt(prompts, torch.device("cpu"), 1, False)[0]
        return found


@dataclass(frozen=True)
class Row:
    """Two ways to one result; ``least``: the ratio that is wanted, if any."""

    name: str
    peer: Callable[[], Tensor]
    ours: Callable[[], Tensor]
    least: float | None = None


def plain_sampler(setting: Setting, states: Tensor, latents: Tensor, ahead: Callable[..., Tensor]) -> Tensor:
    """The last latents of the pipeline's scheduler; ``ahead(step, ...)`` is the U-Net's pass."""
    scheduler = copy.deepcopy(setting.model.pipeline.scheduler)
    scheduler.set_timesteps(setting.steps)
    for step, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(ahead(step, latents, timestep, states), timestep, latents).prev_sample
    return latents


def latent_shift(setting: Setting) -> Row:
    """LD-Pruner: one ablation at a time, the operator's output exchanged by a hook."""
    units = setting.model.units(["operator"], ["denoiser"])[::12]
    prompts = setting.examples.prompts(range(setting.samples))
    scorer = LatentShift(samples=setting.samples, steps=setting.steps, guidance=1.0)

    def passed(states: Tensor, noise: Tensor) -> Tensor:
        return plain_sampler(
            setting, states, noise, lambda _, x, t, s: setting.unet(x, t, encoder_hidden_states=s).sample
        )

    @torch.no_grad()
    def peer() -> Tensor:
        states = setting.states(prompts)
        noise = normal(setting.model.latent_shape, 0, range(setting.samples), "calibration latents")
        dense, shifts = passed(states, noise).double(), []
        for unit in units:
            module = setting.unet.get_submodule(unit.path)
            handle = module.register_forward_hook(removing(unit))
            gone = passed(states, noise).double()
            handle.remove()
            mean = (gone.mean(0) - dense.mean(0)).norm()
            shifts.append(mean + (gone.std(0, correction=0) - dense.std(0, correction=0)).norm())
        return torch.stack(shifts)

    def ours() -> Tensor:
        passes, totals = scorer.passes(setting.model, units, setting.examples), Sums()
        observation = next(passes)
        with torch.no_grad():
            for rows in observation.batches:
                for name, value in observation.observe(rows, torch.device("cpu")).items():
                    totals.add(name, value.to_dense())
        try:
            passes.send(totals)
        except StopIteration as done:
            return torch.cat(list(done.value.values()))
        raise AssertionError("latent shift looks once")

    units = [unit for unit in units if alone(unit)]
    return Row("latent shift, default batch; one ablation at a time", peer, ours, 1.0)


def removing(unit: Unit) -> Callable[..., Any]:
    """A hook that gives what stands in the operator's place: its input, or nothing."""

    def gone(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Any:
        other = inputs[0] if unit.instead.becomes == "input" else torch.zeros_like(inputs[0])  # type: ignore[union-attr]
        return (other, *output[1:]) if isinstance(output, tuple) else other

    return gone


def alone(unit: Unit) -> bool:
    """Whether such a hook removes the operator."""
    return unit.instead is not None and unit.instead.becomes in ("input", "nothing")


def taylor(setting: Setting) -> Row:
    """Diff-Pruning: the loss at one timestep after another, gradients left in the weights."""
    units = setting.model.units(["channel"], ["denoiser"])
    scorer = Taylor(samples=setting.samples, batch_size=setting.samples, stride=setting.stride)

    def peer() -> Tensor:
        pipeline, unet, rows = setting.model.pipeline, setting.unet, range(setting.samples)
        unet.requires_grad_(True)
        with torch.no_grad():
            clean = setting.model.encode(setting.examples.media(rows))
            states = setting.states(setting.examples.prompts(rows))
        noise, largest = normal(clean.shape[1:], 0, rows, "calibration noise"), 0.0
        for timestep in range(0, setting.model.timesteps, setting.stride):
            times = torch.full((setting.samples,), timestep)
            noisy = pipeline.scheduler.add_noise(clean, noise, times)
            wanted = pipeline.scheduler.get_velocity(clean, noise, times)
            loss = (unet(noisy, times, encoder_hidden_states=states).sample - wanted).pow(2).mean()
            largest = max(largest, loss.item())
            if loss.item() <= 0.05 * largest:
                break
            loss.backward()
        named = dict(unet.named_parameters())
        scores = [_sum_abs(unit, named) for unit in units]
        unet.zero_grad()
        unet.requires_grad_(False)
        return torch.cat(scores)

    def ours() -> Tensor:
        return torch.cat(
            list(follow(scorer.passes(setting.model, units, setting.examples), Hardware()).values())
        )

    return Row("Taylor, whole scorer; published loop", peer, ours, 1.0)


def _sum_abs(unit: Unit, named: dict[str, nn.Parameter]) -> Tensor:
    pieces = [piece for piece in unit.slices if named[piece.parameter].ndim > 1]
    products = [
        piece.view(named[piece.parameter].detach().double(), unit.elements)
        * piece.view(named[piece.parameter].grad, unit.elements)  # type: ignore[arg-type]
        for piece in pieces
    ]
    return torch.stack([each.abs().sum(dim=1) for each in products]).sum(dim=0)


def learned_gates(setting: Setting, given: bool) -> Row:
    """EcoDiff: a step through the sampler, checkpointed by torch; dense latents are ``given``, or sampled.

    Of the step that samples them too, ours is to take 0.6 of the time.
    """
    schedule = Schedule(steps=1, batch_size=setting.batch, learning_rate=0.1)
    scorer = LearnedGates(
        schedule, prompts=setting.batch, steps=setting.steps, guidance=1.0, same_noise=False
    )
    units = setting.model.units(["head", "neuron"], ["denoiser"])
    training = scorer.objective(setting.model, units, setting.examples)
    prompts = setting.examples.prompts(range(setting.batch))
    draws = training.batch(range(setting.batch))
    batch = {name: each.sort().values for name, each in draws.items()}
    states, dense = setting.states(prompts), training.dense
    noise = normal(setting.model.latent_shape, 0, range(setting.batch), "calibration latents")
    uniform = torch.rand(setting.steps, setting.batch, sum(training.sizes))

    def peer() -> Tensor:
        logits = [torch.full((unit.elements,), 3.0, requires_grad=True) for unit in units]

        def ahead(step: int, latents: Tensor, timestep: Tensor, states: Tensor) -> Tensor:
            def inside(latents: Tensor) -> Tensor:
                masks = hard_concrete(torch.cat(logits), uniform[step], 0.83, 0.5).split(training.sizes, 1)
                with masked(setting.unet, units, masks):
                    output: Tensor = setting.unet(latents, timestep, encoder_hidden_states=states).sample
                return output

            found: Tensor = checkpoint(inside, latents, use_reentrant=False)
            return found

        target = dense
        if not given:
            with torch.no_grad():
                target = plain_sampler(
                    setting,
                    states,
                    noise,
                    lambda _, x, t, s: setting.unet(x, t, encoder_hidden_states=s).sample,
                )
        last = plain_sampler(setting, states, noise, ahead)
        penalty = torch.stack([each.abs().mean() for each in logits]).mean()
        ((last - target).pow(2).mean() + 0.5 * penalty).backward()
        torch.optim.AdamW(logits, 0.1).step()
        return last.detach()

    def ours() -> Tensor:
        parameters = list(training.trained.parameters())
        with torch.no_grad():
            for each in parameters:
                each.fill_(3.0)
        training.loss(batch)["loss"].backward()
        torch.optim.AdamW(parameters, 0.1).step()
        training.trained.zero_grad()
        return dense

    name, least = ("is given dense latents", None) if given else ("samples the dense model", 1 / 0.6)
    return Row(f"learned gates, a step; published step that {name}", peer, ours, least)


@contextmanager
def masked(unet: nn.Module, units: list[Unit], masks: Any) -> Iterator[None]:
    """Inside, what goes into each unit's layer is multiplied by its mask (batch, elements)."""
    handles = []
    for unit, mask in zip(units, masks, strict=True):

        def scale(_: nn.Module, inputs: tuple[Tensor, ...], mask: Tensor = mask) -> tuple[Tensor, ...]:
            wide = mask.repeat_interleave(inputs[0].shape[-1] // mask.shape[1], dim=1)
            return (inputs[0] * wide[:, None, :], *inputs[1:])

        handles.append(unet.get_submodule(unit.gate.module).register_forward_pre_hook(scale))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def measured(row: Row, rounds: int) -> str:
    """A line of the table."""
    times: dict[str, list[float]] = {"peer": [], "ours": []}
    found: dict[str, Tensor] = {}
    for _ in range(rounds):
        for name, way in (("peer", row.peer), ("ours", row.ours)):
            start = time.process_time()
            found[name] = way()
            times[name].append(time.process_time() - start)
    ratios = [peer / ours for peer, ours in zip(*times.values(), strict=True)]
    slow = [statistics.median(values) for values in times.values()]
    differ = float((found["peer"] - found["ours"]).abs().max() / found["peer"].abs().max())
    line = noted(f"{row.name}: its time over ours", ratios, row.least).line()
    return f"{line}\n    peer {slow[0]:.2f} s, ours {slow[1]:.2f} s; differ {differ:.1e}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often either way is timed")
    parser.add_argument("--batch", type=int, default=4, help="prompts of a step of the learned gates")
    parser.add_argument("--steps", type=int, default=10, help="of the sampler")
    parser.add_argument("--samples", type=int, default=32, help="behind a score")
    parser.add_argument("--stride", type=int, default=25, help="of the timesteps of Taylor scores")
    asked = parser.parse_args()
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    examples = ShuffledExamples(Digits(train_size=256).train(), 0)
    setting = Setting(model, examples, asked.batch, asked.steps, asked.samples, asked.stride)
    gates = replace(setting, samples=setting.batch)
    print(f"{load()}; CPU seconds, medians of {asked.rounds} rounds")
    rows = (latent_shift(setting), taylor(setting), learned_gates(gates, True), learned_gates(gates, False))
    for row in rows:
        print(measured(row, asked.rounds), flush=True)


if __name__ == "__main__":
    main()
