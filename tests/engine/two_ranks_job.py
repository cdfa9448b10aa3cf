"""What every process of ``test_ranks.py`` runs: an interrupted training, observations, and some exchanges."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from prunelab.core import stopping
from prunelab.core.draws import normal
from prunelab.core.observation import Observation
from prunelab.engine import ranks
from prunelab.engine.observe import collect, observe
from prunelab.engine.optimise import optimise
from prunelab.schedules.schedule import Schedule
from prunelab.trainers.hardware import Hardware

SCHEDULE = Schedule(
    steps=10, batch_size=8, learning_rate=1e-2, warmup=2, ema=0.8, clip=0.5, checkpoint_every=4
)


class Chain(nn.Module):
    """Layers one after another, in a list, as denoisers have their stages; the last one is run for a hook."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers
        self.scale = nn.Parameter(torch.ones(5))  # neither divides by two ranks, nor does all of it count

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x * self.scale[:2]


class Regression:
    """Fit noise with noise; first every rank fails in step 6, then the last one is told to stop in step 5."""

    called = True

    def __init__(self, fails: str) -> None:
        torch.manual_seed(0)
        layers = nn.ModuleList([nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)])
        self.trained: nn.Module = Chain(layers)
        self.fails, self.first, self.kinds = fails, list[int](), set[str]()

    def batch(self, draws: range) -> dict[str, Tensor]:
        self.first.append(draws.start // 8)
        numbers = torch.tensor(list(draws))
        return {"x": normal((3,), 0, draws, "x"), "y": normal((2,), 0, draws, "y"), "draws": numbers}

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        step = int(batch["draws"][0]) // 8
        self.kinds.add(type(self.trained).__name__)
        if self.fails == "all" and step == 6:
            raise KeyError("the power went")
        if self.fails == "one" and step == 5 and ranks.rank() == ranks.world() - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"loss": F.mse_loss(self.trained(batch["x"]), batch["y"])}


def trained(folder: Path, strategy: Any = "auto") -> tuple[Regression, list[float], list[int]]:
    """The training, twice interrupted and resumed; what it logged, and at which steps it went on."""
    logged, starts = list[float](), list[int]()
    hardware = Hardware(devices=ranks.world(), strategy=strategy)

    def log(values: Mapping[str, float], step: int) -> None:
        logged.extend((values["loss"], values["gradient_norm"]))

    for fails in ("all", "one", ""):
        objective = Regression(fails)
        try:
            with stopping.watched(silent=True):
                optimise(objective, SCHEDULE, hardware, folder / strategy, "job", log)
        except KeyError:
            assert fails == "all"
        except stopping.Stopped:
            assert fails == "one"
        starts.append(objective.first[0])
    return objective, logged, starts


def observed() -> dict[str, Tensor]:
    """Sums and rows of five batches, one of them smaller; what ranks tell each other is never a tensor."""

    def gives(rows: range, device: torch.device) -> dict[str, Tensor]:
        noise = normal((2,), 0, rows, "noise")
        return {"sum": noise.sum(dim=0), **({"last": noise[-1]} if rows.stop == 9 else {})}

    def hands(rows: range, device: torch.device) -> dict[str, Tensor]:
        noise = normal((2, 3), 0, rows, "rows")
        return {"rows": noise, "half": noise.bfloat16(), "sign": noise > 0, "none": noise[:, :0]}

    def gathered(values: list[Any], value: Any) -> None:
        assert "tensor(" not in repr(value)
        gather(values, value)

    gather, hardware = distributed.all_gather_object, Hardware(devices=ranks.world())
    model: Any = SimpleNamespace(components={})
    with mock.patch.object(distributed, "all_gather_object", gathered):
        sums = observe(Observation(model, 9, 2, gives), hardware, "sums")
        rows = collect(Observation(model, 9, 2, hands), hardware, "rows")
        few = collect(Observation(model, 1, 2, hands), hardware, "fewer batches than ranks")
    found = {f"sums.{name}": value for name, value in sums.items()}
    found |= {f"rows.{name}": value for name, value in rows.items()}
    return found | {f"few.{name}": value for name, value in few.items()}


def in_buckets() -> dict[str, Tensor]:
    """Sums of tensors of all kinds of shapes, sent seven numbers at a time; exchanges are counted."""
    sizes = {"a": (2, 2), "b": (), "c": (0, 3), "d": (3, 3), "e": (2,), "f": (5,), "g": (1,)}
    own = {name: torch.full(size, 10.0**place) for place, (name, size) in enumerate(sizes.items())}
    with (
        mock.patch.object(ranks, "TOGETHER", 7),
        mock.patch.object(distributed, "all_reduce", wraps=distributed.all_reduce) as exchanged,
    ):
        summed = ranks.sum_over_ranks({name: each + ranks.rank() for name, each in own.items()})
    return {
        **{f"bucket.{name}": each for name, each in summed.items()},
        "exchanges": torch.tensor(exchanged.call_count),
    }


def main(folder: Path) -> None:
    """Train, exchange, and let rank 0 write everything down."""
    ranks.start()
    objective, logged, starts = trained(folder)
    rank = ranks.rank()
    result = {f"trained.{name}": tensor for name, tensor in objective.trained.state_dict().items()}
    sharded, sharded_logged, sharded_starts = trained(folder, "fsdp")
    assert sharded.kinds == {"FSDPChain" if ranks.world() > 1 else "Chain"}
    kinds = [type(module) for module in sharded.trained.modules()]
    assert kinds == [Chain, nn.ModuleList, nn.Linear, nn.Tanh, nn.Linear], "as it was before"
    result |= {f"sharded.{name}": tensor for name, tensor in sharded.trained.state_dict().items()}
    result["sharded_logged"] = torch.tensor(sharded_logged)
    result["sharded_starts"] = torch.tensor(sharded_starts)
    result["gathered"] = torch.tensor(ranks.gather(10 * rank))
    result["broadcast"] = torch.tensor([ranks.broadcast(7 if rank == 0 else 8)])
    small = torch.tensor([1.0, 1.0] if rank == 0 else [0.0, 2**-40])
    result["summed"] = ranks.sum_over_ranks({"a": small})["a"]
    result |= in_buckets()
    result["starts"] = torch.tensor(starts)
    result |= observed()
    ranks.barrier()
    if rank == 0:
        save_file({**result, "logged": torch.tensor(logged)}, folder / "result.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
