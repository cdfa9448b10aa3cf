"""The processes that share one job.

A launcher such as torchrun starts the processes and tells them about each other in the environment;
here they find each other and exchange numbers. With one process everything in this file does nothing.
Exchanges go through the CPU (gloo), so objects and sums never depend on where the model lives.
"""

import atexit
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


def start(accelerator: str = "cpu") -> None:
    """Join the other processes of this job, if the launcher started any; calling it again does nothing.

    To be called before the first Trainer is made: Lightning then uses the group that exists.
    accelerator: "cpu", or "cuda" / "gpu" (also "auto" where CUDA is there) to add NCCL for tensors on GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes share the job."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def broadcast(value: T) -> T:
    """What rank 0 holds, on every rank; the other ranks' values are ignored."""
    if world() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        distributed.all_reduce(torch.zeros(1))  # unlike distributed.barrier, never touches a GPU


def gather(value: T) -> list[T]:
    """Every rank's value, in the order of the ranks, on every rank."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    distributed.all_gather_object(values, value)
    return values


def highest(value: int) -> int:
    """The largest of the ranks' values, on every rank."""
    if world() == 1:
        return value
    box = torch.tensor([value])
    distributed.all_reduce(box, distributed.ReduceOp.MAX)
    return int(box.item())


def sum_over_ranks(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sum of each tensor over the ranks, float64 on the CPU, in the order of the sorted keys.

    Every rank must hold the same keys and shapes. With one rank the numbers are unchanged.
    """
    totals = {name: values[name].detach().to("cpu", torch.float64, copy=True) for name in sorted(values)}
    if world() > 1:
        for total in totals.values():
            distributed.all_reduce(total)
    return totals
