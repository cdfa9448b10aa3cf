"""How much device memory a call needs."""

from collections.abc import Callable

import torch


def peak_memory(call: Callable[[], object], device: torch.device | str) -> int | None:
    """Bytes of the CUDA allocator at their highest during ``call``; None on any other device.

    Everything on the device counts, the weights too, so hold one model there at a time. The CPU's
    allocator keeps no such mark, and a process's resident size holds whatever ran before, so a
    figure for the CPU would not be the call's.
    """
    device = torch.device(device)
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device))
