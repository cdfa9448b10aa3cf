"""Scratch: the control that asks whether the surviving weights were worth keeping."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.core.errors import Refusal


@torch.no_grad()
def forget(module: nn.Module, seed: int) -> None:
    """Draw every number of ``module`` anew, as its layers start; only shapes and indices stay.

    A layer with ``reset_parameters``, as torch's have, starts by that, from (``seed``, its name) alone.
    Numbers that belong to none (the bias that is left of an attention, fixed random features) are taken from
    a model that is built new from ``module.config``. All become NaN first, so none can be passed over.

    Raises Refusal where a number's start is not known either way.
    """
    for tensor in _numbers(module).values():
        tensor.fill_(torch.nan)
    with torch.random.fork_rng(devices=[]):
        _start(module, seed)
        left = [name for name, tensor in _numbers(module).items() if tensor.isnan().any()]
        if left:
            _copy(_numbers(_built(module, seed)), module, left)


def _numbers(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer that is no index or count, by name."""
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor for name, tensor in named.items() if tensor.is_floating_point()}


def _start(module: nn.Module, seed: int) -> None:
    for name, layer in module.named_modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            torch.manual_seed(_seed(seed, name))
            reset()


def _built(module: Any, seed: int) -> nn.Module:
    """The dense model that ``module`` was cut from, as it starts."""
    if not hasattr(module, "from_config"):
        return nn.Module()
    config = {key: value for key, value in module.config.items() if key != "structure"}
    torch.manual_seed(_seed(seed, ""))
    dense: nn.Module = type(module).from_config(config)
    _start(dense, seed)
    return dense


def _copy(source: dict[str, Tensor], module: nn.Module, names: Sequence[str]) -> None:
    for name, tensor in _numbers(module).items():
        if name in names:
            found = source.get(name)
            if found is None or found.shape != tensor.shape:
                owner = module.get_submodule(name.rpartition(".")[0])
                raise Refusal(
                    f"scratch=true: {type(owner).__name__} {name} does not say how it starts: "
                    "give its class a reset_parameters, or set scratch=false"
                )
            tensor.copy_(found)


def _seed(seed: int, name: str) -> int:
    return generator(seed, 0, f"scratch {name}").initial_seed()
