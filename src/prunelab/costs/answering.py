"""Numbers for code that looks at tensors without any."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ASKING = (
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.item.default,
    torch.ops.aten.is_nonzero.default,
)


class Answering(TorchDispatchMode):
    """Inside the context, a number that is read from a tensor on the meta device is 1, and a truth is true.

    Models ask whether a mask hides anything, or how long the longest prompt is; they go the way of a prompt
    that fills its place.
    """

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answers what asks for a number; all else runs as it would."""
        if func in ASKING and isinstance(args[0], Tensor) and args[0].is_meta:
            one = torch.ones((), dtype=args[0].dtype).item()
            return bool(one) if func is torch.ops.aten.is_nonzero.default else one
        return func(*args, **(kwargs or {}))
