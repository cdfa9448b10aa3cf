"""Gating: simulate a plan on the dense model, reversibly and differentiably.

A gate is a factor per element, of shape ``(elements,)``, or per sample and element, ``(batch,
elements)``: one batch then holds many ablations at once. Where a sampler stacks k copies of the batch
(classifier-free guidance: unconditional first, conditional second) the factors are tiled k times.
Single weights have one factor for all samples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from prunelab.core.units import Gate, Unit
from prunelab.surgery.pruned_layers import Scattered, replacement


@contextmanager
def gated(
    components: Mapping[str, nn.Module], units: Sequence[Unit], gates: Mapping[str, Tensor]
) -> Iterator[None]:
    """Inside the context, ``units`` named in ``gates`` are scaled by their factors; others run as they are.

    Factors must be floating point, on the model's device. Nothing of the model is changed afterwards.
    """
    with ExitStack() as stack:
        for unit in units:
            if unit.name in gates:
                for gate in unit.gates:
                    module = components[unit.component].get_submodule(gate.module)
                    stack.callback(_attached(module, unit, gate, gates[unit.name]))
        yield


def _attached(module: nn.Module, unit: Unit, gate: Gate, factors: Tensor) -> Callable[[], None]:
    """Gate ``module``; what is returned takes the gate away."""
    match gate.at:
        case "weight":
            return _shadowed(module, factors)
        case "output":
            return _blending(module, unit, factors).remove
        case "entries":
            wide = _spread(module, factors)
            return module.register_forward_hook(lambda _, inputs, output: _scaled(output, gate, wide)).remove
    return module.register_forward_pre_hook(
        lambda _, inputs: (_scaled(inputs[0], gate, factors), *inputs[1:])
    ).remove


def _shadowed(module: nn.Module, factors: Tensor) -> Callable[[], None]:
    """The scaled weight hides the parameter, which stays what and where it is."""
    weight = module.get_parameter("weight")
    if factors.ndim != 1:
        raise ValueError("single weights have one factor for the whole batch, not one per sample")
    object.__setattr__(module, "weight", weight * factors.reshape(weight.shape).to(weight.dtype))
    return lambda: object.__delattr__(module, "weight")


def _blending(module: nn.Module, unit: Unit, factors: Tensor) -> RemovableHandle:
    """Blend the output with what slimming would let stand in the module's place."""
    assert unit.instead is not None
    instead: Any = unit.gate.bypass or replacement(module, unit.instead.entry())
    nothing = instead.becomes == "nothing"

    def blend(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        made = None if nothing else instead.to(first.device)(*args, **kwargs)
        if not isinstance(output, tuple):
            return _blended(factors, output, made)
        follow = instead.streams or ("",)
        others = made if isinstance(made, tuple) else (made,) * len(follow)
        blended = [
            value if name is None else _blended(factors, value, other)
            for value, other, name in zip(output, others, follow, strict=False)
        ]
        return (*blended, *output[len(blended) :])

    return module.register_forward_hook(blend, with_kwargs=True)


def _spread(module: nn.Module, factors: Tensor) -> Tensor:
    """Factors of the entries of ``module``'s output; the zeros among those of a scattered one have 1."""
    if not isinstance(module, Scattered):
        return factors
    return factors.new_ones(*factors.shape[:-1], module.out_features).index_copy(-1, module.places, factors)


def _scaled(value: Tensor, gate: Gate, factors: Tensor) -> Tensor:
    """``value`` with each element's block of entries along ``gate.dim`` multiplied by its factor."""
    wide = factors.repeat_interleave(gate.block, dim=-1) if gate.block > 1 else factors
    beyond = value.shape[gate.dim] - gate.offset - wide.shape[-1]
    if gate.offset or beyond:
        wide = nn.functional.pad(wide, (gate.offset, beyond), value=1.0)
    shape = [1] * value.ndim
    shape[gate.dim] = wide.shape[-1]
    if factors.ndim == 2:
        wide = _tiled(wide, value.shape[0])
        shape[0] = value.shape[0]
    return value * wide.reshape(shape).to(value.dtype)


def _blended(factors: Tensor, output: Tensor, other: Tensor | None) -> Tensor:
    """``factor * output + (1 - factor) * other``: exact at 0 and at 1. None are zeros."""
    factor = factors if factors.ndim == 1 else _tiled(factors, output.shape[0])
    factor = factor.reshape(-1, *[1] * (output.ndim - 1)).to(output.dtype)
    return factor * output if other is None else factor * output + (1 - factor) * other


def _tiled(factors: Tensor, batch: int) -> Tensor:
    """Factors of shape (b, elements) repeated to ``batch`` rows, a multiple of b."""
    return factors.repeat(batch // factors.shape[0], 1)


def gates_of(plan: Mapping[str, Tensor], device: torch.device | None = None) -> dict[str, Tensor]:
    """A plan as gates: 1 where an element stays, 0 where it goes; units left whole are not gated."""
    return {name: keep.float().to(device) for name, keep in plan.items() if not keep.all()}
