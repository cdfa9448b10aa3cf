"""How a denoiser computes: products in TF32, channels last, a compiled forward pass."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from prunelab.core.errors import Refusal
from prunelab.trainers.hardware import Hardware

# By denoiser: what is compiled for one pass serves the next.
_compiled: "WeakKeyDictionary[nn.Module, dict[str, Callable[..., Any]]]" = WeakKeyDictionary()


@contextmanager
def computing(hardware: Hardware, models: Iterable[Any]) -> Iterator[None]:
    """Inside, the denoisers of ``models`` compute as ``hardware`` says; afterwards as they did before.

    What has no denoiser, such as a module that takes part in a training, is left as it is.
    """
    every = [getattr(each, "components", {}).get("denoiser") for each in models]
    denoisers = list({id(each): each for each in every if each is not None}.values())
    with ExitStack() as stack:
        if hardware.tf32:
            stack.enter_context(_in_tf32())
        for denoiser in denoisers:
            if hardware.channels_last:
                stack.enter_context(_channels_last(denoiser))
            if hardware.compiler != "none":
                stack.enter_context(_calling(denoiser, hardware.compiler))
        yield


def check_compiler(hardware: Hardware) -> None:
    """Refuse a compiler that has no compiler of its own to call on this machine."""
    if hardware.compiler != "inductor":
        return
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    on_gpu = hardware.accelerator != "cpu" and torch.cuda.is_available()
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise Refusal("trainer.compiler=inductor needs a C++ compiler, such as g++: install one") from error
    if on_gpu and not has_triton():
        raise Refusal("trainer.compiler=inductor needs Triton on a GPU: pip install triton")


@contextmanager
def _in_tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _channels_last(module: Any) -> Iterator[None]:
    module.to(memory_format=torch.channels_last)
    try:
        yield
    finally:  # before it is saved: files hold tensors as they are written down
        module.to(memory_format=torch.contiguous_format)


@contextmanager
def _calling(module: nn.Module, backend: str) -> Iterator[None]:
    """Inside, the forward pass is the compiled one.

    Of the method, not of the call: what listens to a pipeline stands in the place of the method, and asks it.
    """
    own = vars(module).get("forward")
    known = _compiled.setdefault(module, {})
    if backend not in known:
        known[backend] = torch.compile(module.forward, backend=backend)
    object.__setattr__(module, "forward", known[backend])
    try:
        yield
    finally:
        object.__delattr__(module, "forward")
        if own is not None:
            object.__setattr__(module, "forward", own)
