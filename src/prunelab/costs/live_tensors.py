"""How many bytes of tensors a call holds at once, counted tensor by tensor.

The CPU's allocator keeps no high-water mark; this one is exact and does not depend on what ran before.
"""

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_of_new_tensors(call: Callable[[], object]) -> int:
    """The most bytes that tensors made during ``call`` held at one moment, its backward passes included.

    Every operation is watched, which makes the call several times slower; scratch space inside an
    operation is not seen.
    """
    with _Watch() as watch:
        call()
    return watch.peak


class _Watch(TorchDispatchMode):
    """Counts a storage from the operation that returns it first until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.known = weakref.WeakSet[Any]()
        self.live = self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it returns; what it was given was there before."""
        kwargs = kwargs or {}
        given = {id(storage) for storage in _storages((args, kwargs))}
        result = func(*args, **kwargs)
        for storage in _storages(result):
            if id(storage) not in given and storage not in self.known:
                self._count(storage)
        return result

    def _count(self, storage: Any) -> None:
        size = 0 if storage.device.type == "meta" else storage.nbytes()  # shapes alone take none
        self.known.add(storage)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size


def _storages(values: Any) -> list[Any]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
