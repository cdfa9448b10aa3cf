"""Where the work is: the device of a rank, and models on it while they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.engine.arithmetic import check_compiler
from prunelab.engine.offloading import visiting
from prunelab.trainers.hardware import Hardware


def check_hardware(hardware: Hardware) -> None:
    """Refuse an accelerator, a strategy, a precision or a compiler that is not there."""
    check_compiler(hardware)
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
