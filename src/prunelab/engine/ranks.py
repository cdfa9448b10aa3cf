"""The processes that share one job.

A launcher such as torchrun starts the processes and tells them about each other in the environment;
here they find each other and exchange numbers. With one process everything in this file does nothing.
Exchanges go through the CPU (gloo), so objects and sums never depend on where the model lives.
"""

import atexit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from prunelab.core import processes

T = TypeVar("T")
K = TypeVar("K")
TOGETHER = 2**20  # numbers of small tensors that are summed in one exchange: 8 MB
PATIENCE = timedelta(days=7)  # that ranks have for work of rank 0's; gloo's own 30 minutes are too few


def start(accelerator: str = "cpu") -> None:
    """Join the other processes of this job, if the launcher started any; calling it again does nothing.

    To be called before the first Trainer is made: Lightning then uses the group that exists.
    accelerator: "cpu", or "cuda" / "gpu" (also "auto" where CUDA is there) to add NCCL for tensors on GPUs.
    """
    if processes.world() == 1 or distributed.is_initialized():
        return
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(processes.local_rank())
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    _waiting()
    atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


@cache
def _waiting() -> distributed.ProcessGroup | None:
    """The group in which ranks wait for rank 0; another rank's death still ends the wait at once."""
    return distributed.new_group(backend="gloo", timeout=PATIENCE)


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes share the job."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process is a world of its own: what libraries gather or sum comes from it alone.

    For work that one rank does on everything, such as metrics: torchmetrics, of the project's and of
    users, gathers over all ranks wherever it finds a group. Not to be entered before ``start`` is done.
    """
    if world() == 1:
        yield
        return
    everyone = distributed.group.WORLD
    own = distributed.new_group([rank()], use_local_synchronization=True)
    distributed.group.WORLD = own
    try:
        yield
    finally:
        distributed.group.WORLD = everyone
        distributed.destroy_process_group(own)


def broadcast(value: T) -> T:
    """What rank 0 holds, on every rank; the other ranks' values are ignored."""
    if world() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0, group=_waiting(), device=torch.device("cpu"))
    return box[0]


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        distributed.all_reduce(
            torch.zeros(1), group=_waiting()
        )  # unlike distributed.barrier, never touches a GPU


def gather(value: T) -> list[T]:
    """Every rank's value, in the order of the ranks, on every rank."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    distributed.all_gather_object(values, value)
    return values


def gather_tensors(tensors: Mapping[K, Tensor]) -> list[dict[K, Tensor]]:
    """Every rank's tensors of the CPU, of any shapes, in the order of the ranks, on every rank."""
    if world() == 1:
        return [dict(tensors)]
    kinds = gather({key: (tensor.shape, tensor.dtype) for key, tensor in tensors.items()})
    return [
        {key: _sent(tensors.get(key), source, *kind) for key, kind in own.items()}
        for source, own in enumerate(kinds)
    ]


def _sent(tensor: Tensor | None, source: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """What rank ``source`` has as ``tensor``, sent byte by byte: gloo does not know every type."""
    if tensor is None or source != rank():
        tensor = torch.empty(shape, dtype=dtype)
    whole = tensor.contiguous()
    if whole.numel():
        distributed.broadcast(whole.reshape(-1).view(torch.uint8), source)
    return whole


def highest(value: int) -> int:
    """The largest of the ranks' values, on every rank."""
    if world() == 1:
        return value
    box = torch.tensor([value])
    distributed.all_reduce(box, distributed.ReduceOp.MAX)
    return int(box.item())


def sum_over_ranks(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sum of each tensor over the ranks, float64 on the CPU, in the order of the sorted keys.

    Every rank must hold the same keys and shapes. With one rank the numbers are unchanged, and not copied.
    """
    many = world() > 1
    totals = {name: values[name].detach().to("cpu", torch.float64, copy=many) for name in sorted(values)}
    for bucket in _buckets(list(totals.values())) if many else ():
        _reduce(bucket)
    return totals


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors to be sent together, in order: one exchange of many numbers is faster than many of few."""
    bucket, held = list[Tensor](), 0
    for tensor in tensors:
        if bucket and held + tensor.numel() > TOGETHER:
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.numel()
    if bucket:
        yield bucket


def _reduce(bucket: Sequence[Tensor]) -> None:
    """Add the other ranks' numbers to these tensors, in place."""
    joined = bucket[0] if len(bucket) == 1 else torch.cat([each.flatten() for each in bucket])
    distributed.all_reduce(joined)
    if len(bucket) > 1:
        for each, summed in zip(bucket, joined.split([each.numel() for each in bucket]), strict=True):
            each.copy_(summed.reshape(each.shape))
