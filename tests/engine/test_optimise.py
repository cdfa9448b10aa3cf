"""Training in steps: equal to a plain loop, and to itself when it is interrupted."""

import copy
import math
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.core import stopping
from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.engine import fitting
from prunelab.engine.optimise import optimise
from prunelab.schedules.schedule import Schedule
from prunelab.trainers.hardware import Hardware

SCHEDULE = Schedule(
    steps=12, batch_size=4, learning_rate=1e-2, weight_decay=1e-2, betas=(0.9, 0.99), warmup=3, ema=0.9,
    clip=0.5, checkpoint_every=5,
)  # fmt: skip


class Regression:
    """Fit noise with noise; a second, fixed module stands for a teacher."""

    def __init__(self, fail_at: int | None = None, told_at: int | None = None) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.trained: nn.Module = nn.Sequential(
                nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.0), nn.Linear(8, 2)
            )
            self.teacher = nn.Linear(3, 2)
        self.frozen = (self.teacher,)
        self.fail_at, self.told_at, self.seen = fail_at, told_at, list[range]()

    def batch(self, draws: range) -> dict[str, Tensor]:
        self.seen.append(draws)
        noise = normal((2,), 0, draws, "noise")
        return {
            "inputs": normal((3,), 0, draws, "inputs"),
            "noise": noise,
            "first": torch.tensor(draws.start),
        }

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.fail_at is not None and int(batch["first"]) // SCHEDULE.batch_size == self.fail_at:
            raise KeyError("the power went")
        if self.told_at is not None and int(batch["first"]) // SCHEDULE.batch_size == self.told_at:
            os.kill(os.getpid(), signal.SIGTERM)
        with torch.no_grad():
            target = self.teacher(batch["inputs"]) + 0.1 * batch["noise"]
        loss = F.mse_loss(self.trained(batch["inputs"]), target)
        return {"loss": loss, "root": loss.detach().sqrt()}


Logged = list[tuple[int, Mapping[str, float]]]
Weights = dict[str, Tensor]


def train(objective: Regression, folder: Path, schedule: Schedule = SCHEDULE) -> Logged:
    logged: Logged = []

    def log(values: Mapping[str, float], step: int) -> None:
        logged.append((step, dict(values)))

    optimise(objective, schedule, Hardware(), folder, "test", log)
    return logged


def plain_loop(objective: Regression) -> tuple[Weights, Weights, list[dict[str, float]]]:
    """The same training without any framework: weights, their average, and what is logged of every step."""
    module, average, logged = objective.trained, copy.deepcopy(objective.trained), list[dict[str, float]]()
    optimiser = torch.optim.AdamW(module.parameters(), 1e-2, (0.9, 0.99), weight_decay=1e-2)
    for step in range(12):
        rate = (step + 1) / 3 if step < 3 else (1 + math.cos(math.pi * (step - 3) / 9)) / 2
        optimiser.param_groups[0]["lr"] = 1e-2 * rate
        loss = objective.loss(objective.batch(range(4 * step, 4 * step + 4)))["loss"]
        optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 0.5).item()
        optimiser.step()
        said = {"loss": loss.item(), "root": loss.item() ** 0.5}
        logged.append({**said, "learning_rate": 1e-2 * rate, "gradient_norm": norm})
        with torch.no_grad():
            for mean, now in zip(average.parameters(), module.parameters(), strict=True):
                mean.lerp_(now, 1 - 0.9)
    return dict(module.state_dict()), dict(average.state_dict()), logged


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("small", [fitting.SMALL, 0])
def test_is_a_plain_adamw_loop_with_an_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """To the last bit, whether AdamW takes the weights by lists, as small ones, or one by one."""
    monkeypatch.setattr(fitting, "SMALL", small)
    weights, average, plain = plain_loop(Regression())
    with_average, without = Regression(), Regression()
    logged = train(with_average, tmp_path / "with")
    train(without, tmp_path / "without", Schedule(**{**vars(SCHEDULE), "ema": None}))
    assert same(with_average.trained.state_dict(), average)
    assert same(without.trained.state_dict(), weights)
    assert [step for step, _ in logged] == [10, 12]
    for (_, values), expected in zip(logged, (plain[9], plain[11]), strict=True):
        assert values == pytest.approx(expected, rel=1e-5)
    assert not with_average.trained.training


@pytest.mark.parametrize("fail_at", [2, 5, 8, 11])
def test_an_interrupted_run_ends_bitwise_like_an_uninterrupted_one(tmp_path: Path, fail_at: int) -> None:
    straight, killed, resumed = Regression(), Regression(fail_at), Regression()
    train(straight, tmp_path / "straight")
    with pytest.raises(KeyError, match="the power went"):
        train(killed, tmp_path / "resumed")
    train(resumed, tmp_path / "resumed")
    assert same(straight.trained.state_dict(), resumed.trained.state_dict())
    first = 5 * (fail_at // 5)
    assert [draws.start // 4 for draws in resumed.seen] == list(range(first, 12))


@pytest.mark.parametrize("told_at", [0, 7, 11])
def test_a_run_that_is_told_to_stop_saves_the_step_it_is_in(tmp_path: Path, told_at: int) -> None:
    """Whatever ``checkpoint_every`` says, and at the last step too."""
    straight, told, resumed = Regression(), Regression(told_at=told_at), Regression()
    train(straight, tmp_path / "straight")
    with stopping.watched(), pytest.raises(stopping.Stopped) as stop:
        train(told, tmp_path / "resumed")
    assert stop.value.code == 128 + signal.SIGTERM
    train(resumed, tmp_path / "resumed")
    assert same(straight.trained.state_dict(), resumed.trained.state_dict())
    assert [draws.start // 4 for draws in resumed.seen] == list(range(told_at + 1, 12))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    once, again = Regression(), Regression(fail_at=0)
    train(once, tmp_path)
    train(again, tmp_path)
    assert same(once.trained.state_dict(), again.trained.state_dict())


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_broken_newest_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    straight, killed, resumed = Regression(), Regression(fail_at=11), Regression()
    train(straight, tmp_path / "straight")
    with pytest.raises(KeyError):
        train(killed, tmp_path / "resumed")
    _, newer = sorted((tmp_path / "resumed").glob("*.checkpoint"))
    content = bytearray(newer.read_bytes())
    if damage == "altered":
        content[len(content) // 3] ^= 1
    newer.write_bytes(content[: len(content) // 2] if damage == "truncated" else content)
    train(resumed, tmp_path / "resumed")
    assert same(straight.trained.state_dict(), resumed.trained.state_dict())
    assert [draws.start // 4 for draws in resumed.seen] == list(range(5, 12))


def test_what_is_not_trained_is_not_saved(tmp_path: Path) -> None:
    train(Regression(), tmp_path)
    newest = sorted(tmp_path.glob("*.checkpoint"))[-1]
    saved = torch.load(newest, weights_only=True)["state_dict"]
    assert sorted(saved) == sorted(f"trained.{name}" for name in Regression().trained.state_dict())


def test_a_frozen_parameter_stays(tmp_path: Path) -> None:
    objective = Regression()
    objective.trained[0].weight.requires_grad_(False)  # type: ignore[index, union-attr]
    before = copy.deepcopy(objective.trained.state_dict())
    train(objective, tmp_path)
    after = objective.trained.state_dict()
    assert torch.equal(before["0.weight"], after["0.weight"])
    assert not torch.equal(before["0.bias"], after["0.bias"])


def test_more_devices_than_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="start the job with torchrun"):
        optimise(Regression(), SCHEDULE, Hardware(devices=2), tmp_path, "test", lambda values, step: None)


def test_an_unknown_decay_is_refused() -> None:
    with pytest.raises(Refusal, match="decay=linear is unknown: choose from cosine, constant"):
        Schedule(steps=1, batch_size=1, learning_rate=1.0, decay="linear")


def test_8_bit_state_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with what to install where the package is missing; asked for its optimiser where it is."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(Refusal, match=r"adamw_8bit needs bitsandbytes .*pip install prunelab\[eight-bit\]"):
        Schedule(steps=1, batch_size=2, learning_rate=0.1, optimiser="adamw_8bit")
    there = SimpleNamespace(optim=SimpleNamespace(AdamW8bit=torch.optim.AdamW))
    monkeypatch.setitem(sys.modules, "bitsandbytes", there)
    assert Schedule(steps=1, batch_size=2, learning_rate=0.1, optimiser="adamw_8bit").steps == 1
