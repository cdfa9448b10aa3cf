"""Recovery as a stage: what interrupts it changes nothing, and a training that diverges is refused."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prunelab.core.errors import Refusal
from prunelab.recovery.distill import Distill, DistillationObjective
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.recovery import Recovery
from prunelab.schedules.schedule import Schedule
from prunelab.stages.bench import Artifact, Bench, Part
from prunelab.stages.prune import slimmed
from prunelab.stages.recover import recover
from prunelab.stages.state import State

SCHEDULE = Schedule(
    steps=8, batch_size=2, learning_rate=1e-3, weight_decay=1e-2, warmup=2, ema=0.5, checkpoint_every=3
)
MakeBench = Callable[..., Bench]


def part(method: Any, schedule: Schedule = SCHEDULE, seed: int = 0) -> Part[Recovery]:
    settings = {"method": asdict(method), "schedule": asdict(schedule), "seed": seed}
    return Part("distill", Recovery(method, schedule, 16, seed), settings)


def recovered(bench: Bench, recovery: Part[Recovery]) -> Artifact:
    """A model without one of its blocks, after recovery."""
    units = bench.model.units(["block"], ["denoiser"])
    plan = {unit.name: torch.tensor([unit is not units[1]]) for unit in units}
    student = slimmed(bench.model, units, plan)
    return recover(bench, State("pruned", student, "pruned-by-hand", Path(), {}), recovery)


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    return load_file(artifact.path / "model" / "unet" / "diffusion_pytorch_model.safetensors")


@pytest.fixture
def straight(make_bench: MakeBench, tmp_path: Path) -> Artifact:
    """A recovery that nothing interrupts."""
    return recovered(make_bench(tmp_path / "straight"), part(Distill()))


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_an_interrupted_recovery_is_the_uninterrupted_one_bitwise(
    make_bench: MakeBench, straight: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    bench, calls = make_bench(tmp_path / "killed"), list[int]()
    loss = DistillationObjective.loss

    def failing(objective: DistillationObjective, batch: Any) -> Any:
        calls.append(len(calls) + 1)
        if calls[-1] == steps:
            raise KeyError("the power went")
        return loss(objective, batch)

    monkeypatch.setattr(DistillationObjective, "loss", failing)
    with pytest.raises(KeyError, match="the power went"):
        recovered(bench, part(Distill()))
    assert not list(bench.store.root.glob("recover-*"))
    again = recovered(bench, part(Distill()))
    assert again.address == straight.address
    one, other = weights(straight), weights(again)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.json("history.json") == straight.json("history.json")
    resumed_after = (steps - 1) // 3 * 3  # the last checkpoint before
    assert len(calls) == steps + 8 - resumed_after


def test_the_weights_move_and_the_teacher_stays(
    make_bench: MakeBench, straight: Artifact, tmp_path: Path
) -> None:
    bench = make_bench(tmp_path / "straight")
    dense = bench.model.components["denoiser"].state_dict()
    moved = [bool((weight != dense[name]).any()) for name, weight in weights(straight).items()]
    assert sum(moved) > 0.95 * len(moved)
    assert bench.model.reopened(straight.path / "model").components["denoiser"].training is False
    (last,) = straight.json("history.json")
    assert last["step"] == 8
    assert last["loss"] == pytest.approx(last["task"] + last["output"] + last["feature"], rel=1e-5)


def test_what_makes_another_recovery_and_what_does_not(
    make_bench: MakeBench, straight: Artifact, tmp_path: Path
) -> None:
    bench = make_bench(tmp_path / "straight")
    assert recovered(bench, part(Distill())).address == straight.address
    others = [part(Distill(), seed=1), part(Finetune()), part(Distill(), replace(SCHEDULE, ema=None))]
    made = [recovered(bench, other) for other in others]
    assert len({artifact.address for artifact in (straight, *made)}) == 4
    for other in made:
        assert not torch.equal(weights(other)["conv_out.weight"], weights(straight)["conv_out.weight"])


def test_a_training_that_diverges_is_refused(make_bench: MakeBench, tmp_path: Path) -> None:
    wild = part(Distill(), replace(SCHEDULE, learning_rate=1e30, clip=None, warmup=0))
    bench = make_bench(tmp_path)
    for _ in range(2):  # the second goes on from a checkpoint
        with pytest.raises(
            Refusal, match=r"the training diverged: at step \d+ the loss is nan; lower learning_rate"
        ):
            recovered(bench, wild)
    assert not list(bench.store.root.glob("recover-*"))
