"""How a job runs: nothing here changes a result beyond what the precision does."""

from typing import Literal

from prunelab.core.settings import NonNegativeCount, Processes, settings

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
