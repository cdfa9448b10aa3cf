"""What a latency was measured on."""

from dataclasses import asdict, dataclass

import torch

from prunelab.core.processor import processor


@dataclass(frozen=True)
class Hardware:
    """The machine in words: latencies compare only where all four fields agree.

    device: the GPU's name, or "cpu". cpu: the processor's model. torch: its version and build.
    threads: how many threads one torch operation may use on the CPU.
    """

    device: str
    cpu: str
    torch: str
    threads: int

    def as_json(self) -> dict[str, str | int]:
        """The four fields under their names."""
        return asdict(self)

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.device}; {self.cpu}; torch {self.torch}; {threads}"


def hardware(device: torch.device | str) -> Hardware:
    """Describe ``device`` on the machine this runs on."""
    device = torch.device(device)
    return Hardware(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        cpu=processor(),
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
    )
