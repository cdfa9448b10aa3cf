"""Walkers over diffusers' building blocks.

Units are found by what a module *is*, not by the model it sits in: diffusers builds every denoiser from
the same few blocks, so a new model made of known blocks needs no new walker. Each walker is a generator
over one component; ``WALKERS`` maps a granularity to it. ``TRACERS`` are those that follow the wiring
through a forward pass of example inputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn
from transformers.models.clip.modeling_clip import CLIPMLP, CLIPAttention, CLIPEncoderLayer

from prunelab.core.errors import Refusal
from prunelab.core.units import Counter, Gate, Instead, Slice, Unit
from prunelab.walkers.channels import channels, free_channels, norm_groups
from prunelab.walkers.joint_attention import joint_heads, modulations, parallel_neurons
from prunelab.walkers.weights import conv_weights, weights

Walker = Callable[[str, nn.Module], Iterator[Unit]]
Tracer = Callable[[str, nn.Module, Mapping[str, Any]], Iterator[Unit]]


def heads(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit per attention module; an element is a head, gated where ``to_out`` reads it."""
    for path, module in root.named_modules():
        if isinstance(module, Attention) and _plain(module):
            inner = ("to_q", "to_k", "to_v")
            unit = _heads(
                component,
                path,
                module,
                module.heads,
                inner,
                "to_out.0",
                ("heads",),
                ("inner_dim", "inner_kv_dim"),
            )
            # What other attentions return without heads is not known: one of them has to stay.
            yield replace(unit, instead=_bias(module)) if _one_stream(module) else replace(unit, runs=1)
        elif isinstance(module, CLIPAttention):
            unit = _heads(
                component,
                path,
                module,
                module.num_heads,
                ("q_proj", "k_proj", "v_proj"),
                "out_proj",
                ("num_heads",),
                (),
            )
            yield replace(unit, instead=Instead("bias", returns=2, biases=("out_proj",)))
    yield from joint_heads(component, root)


# What diffusers runs an ``Attention`` with where it reads one stream and returns one. Other processors may
# return several values, or leave out what the class describes.
ONE_STREAM = ("AttnProcessor", "AttnProcessor2_0", "SlicedAttnProcessor", "XFormersAttnProcessor")


def _plain(attention: Attention) -> bool:
    """Whether queries, keys and values are separate, equally many, of one stream, and normed by the head."""
    return (
        attention.to_k is not None
        and getattr(attention, "to_out", None) is not None
        and attention.inner_kv_dim == attention.inner_dim
        and getattr(attention, "add_k_proj", None) is None
        and not _normed_together(attention)
    )


def _normed_together(attention: Attention) -> bool:
    """Whether heads share the statistics of a norm: gating some is not removing them."""
    norms = (attention.norm_q, attention.norm_k)
    widths = [norm.weight.numel() for norm in norms if getattr(norm, "weight", None) is not None]
    return any(width != attention.inner_dim // attention.heads for width in widths)


def _one_stream(attention: Attention) -> bool:
    return type(attention.processor).__name__ in ONE_STREAM


def _bias(attention: Attention) -> Instead:
    """What is left of an attention without heads."""
    return Instead(
        "bias",
        biases=("to_out.0",),
        width=_other_width(attention, "to_q", "to_out.0"),
        residual=bool(attention.residual_connection),
        rescale=float(attention.rescale_output_factor),
    )


def _other_width(module: nn.Module, inner: str, outer: str) -> int | None:
    """How many channels ``outer`` makes, where these are not as many as ``inner`` reads."""
    read = cast(nn.Linear, module.get_submodule(inner)).in_features
    made = cast(nn.Linear, module.get_submodule(outer)).out_features
    return None if made == read else int(made)


def _heads(
    component: str,
    path: str,
    module: nn.Module,
    count: int,
    inner: Sequence[str],
    outer: str,
    counters: Sequence[str],
    widths: Sequence[str],
) -> Unit:
    block = int(cast(nn.Linear, module.get_submodule(outer)).in_features) // count
    rows = [piece for name in inner for piece in _rows(module, path, name, block)]
    return Unit(
        component=component,
        path=path,
        granularity="head",
        elements=int(count),
        slices=(*rows, Slice(f"{path}.{outer}.weight", dim=1, block=block)),
        gate=Gate(f"{path}.{outer}", "input", dim=-1, block=block),
        host=path,
        counters=(
            *(Counter(path, name) for name in counters),
            *(Counter(path, name, block) for name in widths),
        ),
    )


def _rows(module: nn.Module, path: str, name: str, block: int, offset: int = 0) -> list[Slice]:
    """The output rows of a Linear: its weight's and, where there is one, its bias's."""
    names = [key for key, _ in module.get_submodule(name).named_parameters()]
    return [Slice(f"{path}.{name}.{key}", dim=0, block=block, offset=offset) for key in names]


def neurons(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit per feed-forward; an element is a hidden neuron (both halves of a gated activation)."""
    for path, module in root.named_modules():
        if isinstance(module, FeedForward):
            yield _neurons(component, path, module, "net.0.proj", "net.2")
        elif isinstance(module, CLIPMLP):
            yield _neurons(component, path, module, "fc1", "fc2")
    yield from parallel_neurons(component, root)


def _neurons(component: str, path: str, module: nn.Module, inner: str, outer: str) -> Unit:
    width = cast(nn.Linear, module.get_submodule(outer)).in_features
    halves = cast(nn.Linear, module.get_submodule(inner)).out_features // max(width, 1)
    rows = [piece for half in range(halves) for piece in _rows(module, path, inner, 1, half * width)]
    return Unit(
        component=component,
        path=path,
        granularity="neuron",
        elements=width,
        slices=(*rows, Slice(f"{path}.{outer}.weight", dim=1)),
        gate=Gate(f"{path}.{outer}", "input"),
        host=path,
    )


def operators(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit of one element per convolution, attention, feed-forward and norm: a disjoint set.

    Only operators that keep their input's shape are listed; one that changes it needs a bypass.
    """
    for path, module, instead in _outermost(root, _instead_of_operator):
        yield _whole(component, path, module, "operator", instead)


def _instead_of_operator(module: nn.Module) -> Instead | None:
    """What flows instead of an operator; None where the module is no shape-keeping operator.

    Attention and feed-forward sit inside a residual, so nothing flows; an attention that adds its own
    residual, a convolution and a norm pass their input on.
    """
    match module:
        case Attention() if module.rescale_output_factor == 1 and _one_stream(module):
            nothing = Instead("nothing", width=_other_width(module, "to_q", "to_out.0"))
            return Instead("input") if module.residual_connection else nothing
        case FeedForward():
            return Instead("nothing", width=_other_width(module, "net.0.proj", "net.2"))
        case CLIPMLP() | CLIPAttention():
            return Instead("nothing", returns=2 if isinstance(module, CLIPAttention) else 0)
        case nn.Conv2d() if module.in_channels == module.out_channels and set(module.stride) == {1}:
            return Instead("input") if _same_size(module) else None
        case nn.GroupNorm() | nn.LayerNorm():
            return Instead("input")
    return None


def _same_size(convolution: nn.Conv2d) -> bool:
    if isinstance(convolution.padding, str):
        return convolution.padding == "same"
    sides = zip(convolution.padding, convolution.dilation, convolution.kernel_size, strict=True)
    return all(2 * padding == dilation * (kernel - 1) for padding, dilation, kernel in sides)


def blocks(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit of one element per ResNet block and transformer block.

    A ``Transformer2DModel`` with a single transformer block goes whole, with its projections; one with
    several loses them one by one.
    """
    for path, module, instead in _outermost(root, _instead_of_block):
        yield _whole(component, path, module, "block", instead)


def _instead_of_block(module: nn.Module) -> Instead | None:
    match module:
        case ResnetBlock2D() if not (module.up or module.down) and module.output_scale_factor == 1:
            return Instead("input" if module.conv_shortcut is None else "shortcut")
        case Transformer2DModel() if len(module.transformer_blocks) == 1 and module.is_input_continuous:
            return Instead("input", returns=1)
        case BasicTransformerBlock() | CLIPEncoderLayer():
            return Instead("input")
    return None


def _outermost(
    root: nn.Module, match: Callable[[nn.Module], Instead | None]
) -> Iterator[tuple[str, nn.Module, Instead]]:
    """Matching modules that lie in no other matching module, in the order of ``named_modules``."""
    found: list[str] = []
    for path, module in root.named_modules():
        instead = match(module)
        if instead is not None and not any(path.startswith(f"{outer}.") for outer in found):
            found.append(path)
            yield path, module, instead


def _whole(component: str, path: str, module: nn.Module, granularity: str, instead: Instead) -> Unit:
    """A unit of one element that owns the whole module, less the shortcut that flows instead."""
    spared = (f"{path}.conv_shortcut",) if instead.becomes == "shortcut" else ()
    owned = [
        (f"{path}.{name}", parameter)
        for name, parameter in module.named_parameters()
        if not any(f"{path}.{name}".startswith(f"{kept}.") for kept in spared)
    ]
    return Unit(
        component=component,
        path=path,
        granularity=granularity,
        elements=1,
        slices=tuple(Slice(name, dim=0, block=parameter.shape[0]) for name, parameter in owned),
        gate=Gate(path, "output"),
        host=path,
        spared=spared,
        instead=instead,
    )


WALKERS: dict[str, Walker] = {
    "operator": operators,
    "block": blocks,
    "head": heads,
    "neuron": neurons,
    "modulation": modulations,
    "weight": weights,
    "conv_weight": conv_weights,
}
TRACERS: dict[str, Tracer] = {
    "channel": channels,
    "free_channel": free_channels,
    "norm_group": norm_groups,
}


def walk(
    component: str,
    root: nn.Module,
    granularities: Sequence[str],
    inputs: Callable[[], Mapping[str, Any]] = dict,
) -> list[Unit]:
    """All units of these granularities in one component; refuses a granularity nobody walks for.

    inputs: makes the keyword arguments of one forward pass; called only where wiring is traced.
    """
    known = (*WALKERS, *TRACERS)
    unknown = [name for name in granularities if name not in known]
    if unknown:
        raise Refusal(f"unknown granularity {unknown[0]!r}: choose from {', '.join(known)}")
    units: list[Unit] = []
    for name in granularities:
        traced = name in TRACERS
        found = TRACERS[name](component, root, inputs()) if traced else WALKERS[name](component, root)
        units += (unit for unit in found if unit.elements)  # a layer may have lost all it had
    return units
