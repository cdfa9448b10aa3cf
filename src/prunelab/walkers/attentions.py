"""Attentions by what they hold: projections to queries, keys and values, and what reads the heads.

Names vary (``to_q``, ``q_proj``, ``add_q_proj``, ``to_q_t``, ``img_attn_qkv``), and so does what is joined:
separate, fused, fused with a feed-forward, with a second stream. What a projection is for is in the words of
its name, how many heads it makes in its shape and in the counts that its attention keeps.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from torch import nn

from prunelab.surgery.pruned_structure import HEADS, KEY_HEADS

# Words that say where a projection belongs, not what it makes.
FILLING = {"to", "add", "added", "img", "txt", "attn", "proj", "t", "layer", "linear"}
SECOND = {"add", "added", "txt", "t"}
MADE: dict[str, str] = {
    **dict.fromkeys(("q", "query", "wq"), "q"),
    **dict.fromkeys(("k", "key", "wk"), "k"),
    **dict.fromkeys(("v", "value", "wv"), "v"),
    "kv": "kv",
    "qkv": "qkv",
    "qkv_mlp": "qkv_mlp",
    **dict.fromkeys(("out", "o", "c", "", "wo", "output"), "out"),
}
ORDER = ("qkv", "qkv_mlp", "q", "kv", "k", "v", "gate", "out")
HEAD_SIZES = ("head_dim", "dim_head", "attention_head_dim", "head_size")


@dataclass(frozen=True)
class Projection:
    """A Linear of an attention. path: within it. second: whether it belongs to the stream beside its own."""

    path: str
    layer: nn.Linear
    makes: str
    second: bool


@dataclass(frozen=True)
class Attention:
    """An attention and its projections, by stream, queries before keys before values.

    count: heads of queries. groups: heads of keys and values; each serves ``count / groups`` of the queries.
    width: channels of one head. sets: how often queries and keys are held, values once: twice where one
    attention is subtracted from another (Ye et al. 2024, arXiv 2410.05258).
    """

    path: str
    module: nn.Module
    projections: tuple[Projection, ...]
    count: int
    groups: int
    width: int
    sets: int = 1

    @property
    def readers(self) -> tuple[Projection, ...]:
        """The projections that read the heads, its own stream's first."""
        return tuple(each for each in self.projections if each.makes == "out")

    @property
    def inner(self) -> int:
        """Channels of all heads together."""
        return self.count * self.width


def attentions(root: nn.Module) -> Iterator[Attention]:
    """Every attention whose heads can be told, in the order of ``named_modules``."""
    for path, module in root.named_modules():
        found = attention(path, module)
        if found is not None:
            yield found


def attention(path: str, module: nn.Module) -> Attention | None:
    """``module`` as an attention; None where it is none, or its heads cannot be told."""
    projections = _projections(module)
    made = {each.makes for each in projections}
    if not ({"qkv", "qkv_mlp"} & made or ("q" in made and ({"k", "v"} <= made or "kv" in made))):
        return None
    queries, keys, sets = _widths(projections, vars(module).get("inner_dim", 0))
    width = _head_width(module, queries, keys)
    if not width or queries % width or keys % width or not keys or (queries // width) % (keys // width):
        return None
    return Attention(path, module, projections, queries // width, keys // width, width, sets)


def words(name: str) -> list[str]:
    """The words that a name is made of."""
    return re.split(r"_|(?<=[a-z])(?=[A-Z])", name)


def _projections(module: nn.Module) -> tuple[Projection, ...]:
    found = []
    for name, child in module.named_children():
        path, layer = _first_linear(name, child)
        core = "_".join(word for word in words(name) if word not in FILLING)
        makes = "gate" if "gate" in words(name) else MADE.get(core)
        if layer is not None and makes is not None and (core or "proj" in words(name)):
            found.append(Projection(path, layer, makes, bool(SECOND & set(words(name)))))
    return tuple(sorted(found, key=lambda each: (each.makes == "out", each.second, ORDER.index(each.makes))))


def _first_linear(name: str, child: nn.Module) -> tuple[str, nn.Linear | None]:
    """A Linear, or the first of a list, as ``to_out`` is with its dropout."""
    if isinstance(child, nn.ModuleList | nn.Sequential) and len(child):
        return f"{name}.0", child[0] if isinstance(child[0], nn.Linear) else None
    return name, child if isinstance(child, nn.Linear) else None


def _widths(projections: tuple[Projection, ...], said: int) -> tuple[int, int, int]:
    """Channels of all queries and of all keys of one stream, and how many sets of both there are.

    said: the channels of queries as the module counts them, 0 where it does not.
    """
    own = {each.makes: rows_of(each.layer) for each in reversed(projections)}
    inner = next((each.layer.in_features for each in projections if each.makes == "out"), 0)
    if "qkv_mlp" in own:
        return said, said, 1
    if inner and (own.get("qkv") == 5 * inner or (own.get("q"), own.get("kv")) == (2 * inner, 3 * inner)):
        return inner, inner, 2
    if "qkv" in own:
        inner = inner or own["qkv"] // 3
        return inner, (own["qkv"] - inner) // 2, 1
    return own["q"], own["k"] if "k" in own else own["kv"] // 2, 1


def rows_of(layer: nn.Linear) -> int:
    """Rows of a Linear, which may be scattered and return more."""
    return len(layer.weight)


def _head_width(module: nn.Module, queries: int, keys: int) -> int:
    """Channels of a head, by the counts that the module keeps of heads or of their channels; 0 if unknown."""
    kept = vars(module)
    for names, total in ((HEADS, queries), (KEY_HEADS, keys)):
        count = next((kept[name] for name in names if type(kept.get(name)) is int and kept[name] > 0), 0)
        if count and total % count == 0:
            return total // count
    return next((kept[name] for name in HEAD_SIZES if type(kept.get(name)) is int), 0)


def across_heads(found: Attention) -> Iterator[tuple[str, nn.Module, str]]:
    """The norms whose statistics all heads share: path, module, and whether of queries or of keys."""
    for name, child in found.module.named_children():
        parts = set(words(name))
        kind = "q" if parts & {"q", "query"} else "k" if parts & {"k", "key"} else ""
        if kind and "norm" in parts and norm_width(child) not in (0, found.width):
            yield name, child, kind


def norm_width(module: nn.Module) -> int:
    """Channels that a norm norms together, 0 where it does not say."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, nn.Parameter):
        return weight.numel()
    shape = vars(module).get("normalized_shape") or vars(module).get("dim")
    return int(cast(tuple[int, ...], shape)[-1]) if isinstance(shape, tuple) and shape else 0
