"""Offloading: what stands beside the denoiser is on the device while it runs, and no longer.

Text encoders and autoencoders of real models are larger than what is left beside a denoiser; they run once
per batch. Where they are changes no result.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

ENTRIES = ("forward", "encode", "decode", "get_text_features", "generate")  # by which components are called
HOME = torch.device("cpu")


@contextmanager
def visiting(components: Sequence[nn.Module], where: torch.device) -> Iterator[None]:
    """Inside the context, a call of one of ``components`` takes place on ``where``; between calls it is home.

    What it is called with is moved along; what it returns stays on ``where``.
    """
    with ExitStack() as stack:
        for component in components:
            stack.enter_context(_visiting(component, where))
        yield


@contextmanager
def _visiting(component: nn.Module, where: torch.device) -> Iterator[None]:
    calls = SimpleNamespace(open=0)
    names = [name for name in ENTRIES if hasattr(component, name)]
    for name in names:
        object.__setattr__(component, name, _moved(component, getattr(component, name), where, calls))
    # Where diffusers looks for the device of a component that is elsewhere when nobody calls it.
    object.__setattr__(component, "_hf_hook", SimpleNamespace(execution_device=where))
    try:
        yield
    finally:
        for name in (*names, "_hf_hook"):
            object.__delattr__(component, name)
        component.to(HOME)


def _moved(
    component: nn.Module, call: Callable[..., Any], where: torch.device, calls: SimpleNamespace
) -> Callable[..., Any]:
    def moved(*args: Any, **kwargs: Any) -> Any:
        calls.open += 1  # an entry may call another: the outermost one goes home
        try:
            component.to(where)
            given = tree_map_only(Tensor, lambda each: each.to(where), (args, kwargs))
            return call(*given[0], **given[1])
        finally:
            calls.open -= 1
            if not calls.open:
                component.to(HOME)

    return moved
