"""Walkers over FLUX-like transformers: text and image attend to each other, and norms are modulated.

A double-stream block has one attention for both streams, whose heads have rows and columns in the
projections of either; a single-stream block runs attention and feed-forward side by side into one
projection. The masks of EcoDiff (Zhang et al. 2024, arXiv 2412.02852) sit in these places.
"""

from collections.abc import Iterator, Sequence

from diffusers.models.normalization import AdaLayerNormZero, AdaLayerNormZeroSingle
from diffusers.models.transformers.transformer_flux import FluxAttention, FluxSingleTransformerBlock
from torch import nn

from prunelab.core.units import Counter, Gate, Instead, Slice, Unit

IMAGE = ("to_q", "to_k", "to_v")
TEXT = ("add_q_proj", "add_k_proj", "add_v_proj")


def joint_heads(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit per attention; an element is a head of both streams, gated wherever it is read."""
    for path, module in root.named_modules():
        if isinstance(module, FluxAttention) and not module.fused_projections:
            yield _heads(component, root, path, module)


def _heads(component: str, root: nn.Module, path: str, module: FluxAttention) -> Unit:
    width = module.head_dim
    inner = IMAGE if module.added_kv_proj_dim is None else (*IMAGE, *TEXT)
    rows = [piece for name in inner for piece in _rows(root, f"{path}.{name}", width)]
    readers = _readers(path, module)
    return Unit(
        component=component,
        path=path,
        granularity="head",
        elements=int(module.heads),
        slices=(*rows, *(Slice(f"{reader}.weight", dim=1, block=width) for reader in readers)),
        gate=Gate(readers[0], "input", block=width),
        more_gates=tuple(Gate(reader, "input", block=width) for reader in readers[1:]),
        host=path,
        counters=(Counter(path, "heads"), Counter(path, "inner_dim", width)),
        instead=_instead(path, readers),
    )


def _instead(path: str, readers: Sequence[str]) -> Instead:
    """The biases of the attention's own projections; it returns its heads where it has none."""
    own = tuple(reader.removeprefix(f"{path}.") for reader in readers if reader.startswith(f"{path}."))
    return Instead("bias", biases=own) if own else Instead("nothing", width=0)


def _readers(path: str, module: FluxAttention) -> list[str]:
    """The projections that read the heads; a single-stream block's reads its feed-forward behind them."""
    if module.pre_only:
        return [f"{path.rpartition('.')[0]}.proj_out"]
    return [f"{path}.to_out.0", *([f"{path}.to_add_out"] if module.added_kv_proj_dim is not None else [])]


def parallel_neurons(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit per feed-forward that runs beside an attention; an element is a hidden neuron."""
    for path, module in root.named_modules():
        if isinstance(module, FluxSingleTransformerBlock):
            width = int(module.proj_mlp.out_features)
            offset = int(module.proj_out.in_features) - width
            reader = f"{path}.proj_out"
            yield Unit(
                component=component,
                path=f"{path}.proj_mlp",
                granularity="neuron",
                elements=width,
                slices=(*_rows(root, f"{path}.proj_mlp", 1), Slice(f"{reader}.weight", dim=1, offset=offset)),
                gate=Gate(reader, "input", offset=offset),
                host=f"{path}.proj_mlp",
            )


def modulations(component: str, root: nn.Module) -> Iterator[Unit]:
    """One unit per modulated norm; an element is one shift, scale or gate of one channel.

    What is removed is zero from then on: a shift of nothing, a scale of one, a branch closed.
    """
    for path, module in root.named_modules():
        if isinstance(module, AdaLayerNormZero | AdaLayerNormZeroSingle):
            linear = f"{path}.linear"
            yield Unit(
                component=component,
                path=linear,
                granularity="modulation",
                elements=int(module.linear.out_features),
                slices=tuple(_rows(root, linear, 1)),
                gate=Gate(linear, "entries"),
                host=linear,
            )


def _rows(root: nn.Module, path: str, block: int) -> Sequence[Slice]:
    """The output rows of a Linear: its weight's and, where there is one, its bias's."""
    names = [name for name, _ in root.get_submodule(path).named_parameters()]
    return [Slice(f"{path}.{name}", dim=0, block=block) for name in names]
