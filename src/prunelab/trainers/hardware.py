"""How a job runs: nothing here changes a result beyond what the arithmetic does."""

from typing import Literal

from prunelab.core.errors import Refusal
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
    halves: whether a score's sums over half of its samples are kept too, for how far both halves agree.
    pinned: whether a training's batches wait for a GPU in memory that is copied from faster.
    tf32: whether a GPU may round the factors of float32 matrix products to 10 bits. channels_last: whether
    the denoiser's convolutions have their channels last in memory. compiler: torch.compile's backend for the
    denoiser's forward pass; "eager" follows it and compiles nothing. These three change results by round-off.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "cpu"
    devices: Processes = 1
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true", "fsdp"] = "auto"
    precision: Precision = "32-true"
    workers: NonNegativeCount = 0
    offload: bool = False
    halves: bool = True
    pinned: bool = False
    tf32: bool = False
    channels_last: bool = False
    compiler: Literal["none", "inductor", "eager"] = "none"

    def __post_init__(self) -> None:
        """Refuse what weights that are shared out cannot do."""
        if self.strategy == "fsdp" and (self.channels_last or self.compiler != "none"):
            raise Refusal("trainer.strategy=fsdp goes with neither channels_last nor a compiler: use ddp")

    @property
    def arithmetic(self) -> str:
        """What of this decides results, as addresses have it: the precision alone, unless there is more."""
        more = [name for name in ("tf32", "channels_last") if getattr(self, name)]
        return " ".join([self.precision, *more, *[self.compiler] * (self.compiler != "none")])
