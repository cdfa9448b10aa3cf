"""How a job runs: nothing here changes a result beyond what the precision does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.core.settings import NonNegativeCount, Processes, settings
from prunelab.engine.offloading import visiting

Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"]


@settings
class Hardware:
    """Where the work runs.

    devices: processes on this machine; more than one are started by torchrun, not here. strategy: "fsdp"
    shares trained weights out over them, and is "ddp" where nothing is trained.
    precision: Lightning's name; it decides results, and so enters every address.
    workers: loader processes per rank; 0 prepares batches in the training process. offload: whether text
    encoders and autoencoders are on the device only while they run, when samples and scores are made.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "cpu"
    devices: Processes = 1
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true", "fsdp"] = "auto"
    precision: Precision = "32-true"
    workers: NonNegativeCount = 0
    offload: bool = False


def check_hardware(hardware: Hardware) -> None:
    """Refuse an accelerator, a strategy or a precision that this machine or Lightning does not have."""
    if (hardware.accelerator, hardware.strategy, hardware.precision) == ("cpu", "auto", "32-true"):
        return  # every machine has these, and Lightning takes seconds to import
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from prunelab.engine.trainer import sharded, trainer

    try:
        trainer(hardware, [], shard=sharded(hardware))
    except (MisconfigurationException, ValueError) as error:
        settings = ("accelerator", "strategy", "precision")
        wanted = " ".join(f"{name}={getattr(hardware, name)}" for name in settings)
        raise Refusal(f"nothing runs with {wanted}: {' '.join(str(error).split())}") from error


def device(hardware: Hardware) -> torch.device:
    """The device of this rank."""
    on_gpu = hardware.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return torch.device("cuda", processes.local_rank()) if on_gpu else torch.device("cpu")


@contextmanager
def placed(model: Model, where: torch.device, offload: bool = False) -> Iterator[None]:
    """Inside the context every component is on ``where``; afterwards on the CPU, unless they were there.

    So several passes inside of one context move the model once. ``offload``: all but the denoiser are there
    only while they run.
    """
    settled = ("denoiser",) if offload else tuple(model.components)
    weights = [weight for name in settled for weight in model.components[name].parameters()]
    if all(weight.device == where for weight in weights):
        yield
        return
    others = [each for name, each in model.components.items() if name not in settled]
    try:
        if offload:
            model.components["denoiser"].to(where)
        else:
            model.to(where)
        with visiting(others, where):
            yield
    finally:
        model.to(torch.device("cpu"))
