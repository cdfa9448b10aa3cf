"""The one way a Lightning Trainer is made here: it runs what it is given and does nothing else."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from prunelab.core import processes
from prunelab.engine import ranks
from prunelab.engine.signals import Signals
from prunelab.trainers.hardware import Hardware

# Lightning's advice that does not apply here: loaders without workers, predictions that are kept elsewhere,
# checkpoints between epochs, srun where there is one, and a deprecation inside Lightning itself.
ADVICE = (
    ".*does not have many workers.*",
    "predict returned None.*",
    ".*resuming from a checkpoint that ended before the epoch.*",
    ".*isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    ".*but local rank has zero length.*",
    "The `srun` command is available on your system.*",
)


def sharded(hardware: Hardware) -> bool:
    """Whether trained weights are to be shared out over the ranks, of which there are several."""
    return hardware.strategy == "fsdp" and ranks.world() > 1


def trainer(
    hardware: Hardware, callbacks: Sequence[Callback], shard: bool = False, **settings: Any
) -> Trainer:
    """A Trainer without validation, logger, default folder, summary or chatter; ``settings`` are its own.

    shard: whether it trains weights that are shared out over the ranks (see :mod:`prunelab.engine.sharding`).
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in ADVICE:
        warnings.filterwarnings("ignore", message=message)
    local = processes.local_world()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(
        accelerator=hardware.accelerator,
        strategy=_sharding() if shard else _strategy(hardware),
        precision=hardware.precision,
        devices=local,
        num_nodes=ranks.world() // local,
        callbacks=[Signals(), *callbacks],
        enable_model_summary=False,
        use_distributed_sampler=False,
        **quiet,
        **_with_plugins(settings),
    )


def _strategy(hardware: Hardware) -> str:
    """Pruned models hold parameters that nothing reads (a norm before a removed attention): DDP must look."""
    chosen = "auto" if hardware.strategy == "fsdp" else hardware.strategy
    chosen = "ddp" if chosen == "auto" and ranks.world() > 1 else chosen
    return "ddp_find_unused_parameters_true" if chosen == "ddp" else chosen


def _sharding() -> ModelParallelStrategy:
    """FSDP2 alone; its checkpoints are single files, as all others are."""
    return ModelParallelStrategy(
        data_parallel_size=ranks.world(), tensor_parallel_size=1, save_distributed_checkpoint=False
    )


def _with_plugins(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "plugins": [_environment(), *settings.get("plugins", [])]}


def _environment() -> ClusterEnvironment:
    """Who started the processes; said outright, so that Lightning neither starts nor requeues any itself."""
    return TorchElasticEnvironment() if ranks.world() > 1 else LightningEnvironment()
