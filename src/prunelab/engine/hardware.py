"""How a job runs: nothing here changes a result beyond what the precision does."""

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Hardware:
    """Where the work runs.

    devices: processes on this machine; more than one are started by torchrun, not here.
    precision: Lightning's name; it decides results, and so enters every address.
    workers: loader processes per rank; 0 prepares batches in the training process.
    """

    accelerator: str = "cpu"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    workers: int = 0


def device(hardware: Hardware) -> torch.device:
    """The device of this rank."""
    on_gpu = hardware.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
