"""Forward passes that leave the weights alone, batch by batch, over all processes of the job.

A batch's result depends on its rows alone, and whole batches are shared out, so one rank and many do the
same arithmetic: rows come back in their order, sums agree to float64 round-off.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from prunelab.core.observation import EARLY, Observation
from prunelab.engine import ranks
from prunelab.engine.arithmetic import computing
from prunelab.engine.placement import placed
from prunelab.trainers.hardware import Hardware

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from prunelab.engine.watching import Keep


def observe(observation: Observation, hardware: Hardware, describe: str) -> dict[str, Tensor]:
    """The sum of every statistic over all batches and ranks, dense, float64 on the CPU.

    With a ``cut`` the sums of the first half, too: twice the memory, from the second half on; without any of
    them where the hardware says so. All are the caller's own.
    """
    sums: dict[str, Tensor] = {}
    cut = observation.cut if hardware.halves else 0

    def add(batch: int, result: Mapping[str, Tensor]) -> None:
        early = (batch + 1) * observation.batch_size <= cut
        for name, value in result.items():
            if name.startswith(EARLY) and not hardware.halves:
                continue
            own = value.detach().to("cpu", torch.float64)
            if name not in sums:
                sums[name] = torch.zeros(value.shape, dtype=torch.float64)
            if early:
                sums[f"{EARLY}{name}"] = sums[name]  # all there is so far is of the first half
            elif sums.get(f"{EARLY}{name}") is sums[name]:
                sums[name] = sums[name].clone()
            sums[name] += own

    _run(observation, hardware, describe, add)
    for name in [name for name in sums if sums.get(f"{EARLY}{name}") is sums[name]]:
        sums[name] = sums[name].clone()  # which no batch of the second half had
    for shapes in ranks.gather({name: value.shape for name, value in sums.items()}):
        for name in shapes.keys() - sums.keys():  # of batches that others had
            sums[name] = torch.zeros(shapes[name], dtype=torch.float64)
    return ranks.sum_over_ranks(sums)


def collect(observation: Observation, hardware: Hardware, describe: str) -> dict[str, Tensor]:
    """What all batches give, in the order of the rows along the first dimension, on every rank."""
    own: dict[tuple[int, str], Tensor] = {}

    def keep(batch: int, result: Mapping[str, Tensor]) -> None:
        own.update({(batch, name): value.detach().cpu() for name, value in result.items()})

    _run(observation, hardware, describe, keep)
    every = {key: rows for share in ranks.gather_tensors(own) for key, rows in share.items()}
    names = [name for batch, name in every if batch == 0]
    return {name: torch.cat([every[i, name] for i in range(len(observation.batches))]) for name in names}


# Looking through everything that is installed for callbacks makes a Trainer as slow to make as a small pass.
_idle: "dict[tuple[Hardware, int], Trainer]" = {}


def _run(observation: Observation, hardware: Hardware, describe: str, keep: "Keep") -> None:
    from prunelab.engine.progress import Progression  # with Lightning, which takes seconds to import
    from prunelab.engine.signals import Signals
    from prunelab.engine.trainer import trainer
    from prunelab.engine.watching import Watching

    mine = range(ranks.rank(), len(observation.batches), ranks.world())
    numbers: DataLoader[int] = DataLoader(list(mine), batch_size=None)  # type: ignore[arg-type]
    key = (hardware, ranks.world())
    watched = _idle.pop(key, None) or trainer(hardware, [], inference_mode=False)  # one that failed is gone
    watched.callbacks = [Signals(), Progression(describe, len(mine))]  # type: ignore[attr-defined]  # a connector sets it
    where = watched.strategy.root_device
    model = observation.model
    with (
        placed(model, where, hardware.offload),
        computing(hardware, [model]),
        Watching(observation, keep) as watching,
    ):
        watched.predict(watching, numbers)
    _idle[key] = watched  # and none that failed
