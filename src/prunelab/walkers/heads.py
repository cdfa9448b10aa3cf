"""Heads: one unit per attention, an element is a head, gated wherever it is read.

Where several queries share a head of keys and values (grouped-query attention) an element is such a group;
where all share one, it is a head of queries, one of which has to stay. The masks of EcoDiff (Zhang et al.
2024, arXiv 2412.02852) sit in the same places.
"""

from collections.abc import Iterator
from typing import cast

from torch import Tensor, nn

from prunelab.core.units import Counter, Gate, Instead, Slice, Unit
from prunelab.surgery.pruned_structure import HEADS, INNER, KEY_HEADS, SHARING
from prunelab.walkers.attentions import Attention, Projection, across_heads, attentions, rows_of, words
from prunelab.walkers.calls import Call, Calls
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.likeness import like_attentions
from prunelab.walkers.proof import proven

# What diffusers runs its ``Attention`` with where it reads one stream and returns one.
ONE_STREAM = ("AttnProcessor", "AttnProcessor2_0", "SlicedAttnProcessor", "XFormersAttnProcessor")
OTHERS = {"encoder", "context", "text", "txt"}  # words of the argument that is not an attention's own stream


def heads(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """One unit per attention whose heads can be told."""
    for found in attentions(root):
        own = [(f"{found.path}.{each.path}", 0) for each in found.readers]
        readers = own or parent_reader(root, found)  # what reads the heads, and where in its input they start
        call = calls.get(found.path)
        if _told_apart(found, call):
            calls.recording.refusals["head", found.path] = "scores are given for each of its heads"
        elif readers:
            yield _unit(component, found, readers, call, calls.numbers)
        else:
            calls.recording.refusals["head", found.path] = "what reads its heads was not found"


def _told_apart(found: Attention, call: Call | None) -> bool:
    """Whether each of its heads is given scores, as T5's positions are, or holds them, as Swin's are."""
    held = found.module.parameters(recurse=False)
    if any(isinstance(each, nn.Embedding) for each in found.module.children()):
        return True
    if any(each.ndim == 2 and each.shape[1] == found.count > 1 for each in held):
        return True
    given = call.given if call and found.count > 1 else {}
    scores = [each for name, each in given.items() if name.endswith(("mask", "bias"))]
    batch = next((len(each) for each in given.values() if isinstance(each, Tensor) and each.ndim), 1)
    return any(_of_each_head(each, found, batch) for each in scores if isinstance(each, Tensor))


def _of_each_head(given: Tensor, found: Attention, batch: int) -> bool:
    """Whether scores are given as (batch, heads, queries, keys) or as (batch times heads, queries, keys)."""
    if given.ndim == 4:
        return given.shape[1] == found.count
    return given.ndim == 3 and len(given) == batch * found.count


def parent_reader(root: nn.Module, found: Attention) -> list[tuple[str, int]]:
    """The projection of its block that reads the heads of an attention without one.

    Beside a feed-forward (FLUX), or in an ``output`` of its own (BERT).
    """
    parent = found.path.rpartition(".")[0]
    block = root.get_submodule(parent)
    behind = block._modules.get("output")
    dense = behind and behind._modules.get("dense")
    if isinstance(dense, nn.Linear) and dense.in_features == found.inner:
        return [(f"{parent}.output.dense", 0)]
    for name, layer in block.named_children():
        if name in ("proj_out", "linear2", "to_out") and isinstance(layer, nn.Linear):
            return [(f"{parent}.{name}", 0)] if layer.in_features >= found.inner else []
    return []


def _unit(
    component: str, found: Attention, readers: list[tuple[str, int]], call: Call | None, seen: bool
) -> Unit:
    shared = found.groups == 1 and found.count > 1  # one head of keys and values, which stays
    elements = found.count if shared else found.groups
    block = found.inner // elements
    rows = [piece for each in found.projections for piece in _rows(found, each, elements, shared)]
    normed = list(_norms(found, elements, shared))
    gates = [Gate(path, "input", block=block, offset=offset) for path, offset in readers]
    instead = None if shared else _instead(found, readers, call, seen)
    return Unit(
        component=component,
        path=found.path,
        granularity="head",
        elements=elements,
        slices=(
            *rows,
            *normed,
            *(Slice(f"{path}.weight", dim=1, block=block, offset=offset) for path, offset in readers),
        ),
        gate=gates[0],
        more_gates=tuple(gates[1:]),
        host=found.path,
        counters=tuple(_counters(found, elements, shared)),
        instead=instead,
        exact=not any(across_heads(found)),
        runs=0 if instead is not None else 1,
    )


def _rows(found: Attention, made: Projection, elements: int, shared: bool) -> Iterator[Slice]:
    """The rows of a projection that make heads: its weight's and, where there is one, its bias's."""
    queries, keys = found.inner, found.groups * found.width
    total = rows_of(made.layer)
    asking = [(number * queries, queries) for number in range(found.sets)]
    told = [(number * keys, keys) for number in range(found.sets)]
    both = [*told, (found.sets * keys, keys)]  # values lie behind the keys
    behind = [(found.sets * queries + offset, width) for offset, width in both]
    starts: dict[str, list[tuple[int, int]]] = {
        "q": asking,
        "k": told,
        "v": [(0, keys)],
        "kv": both,
        "qkv": [*asking, *behind],
        "qkv_mlp": [*asking, *behind],
        "gate": [(0, total)] if total in (queries, found.count) else [],
    }
    for number, (offset, width) in enumerate(starts.get(made.makes, [])):
        joined = made.makes.startswith("qkv") and number >= found.sets
        if not (shared and (joined or made.makes in ("k", "v", "kv"))):
            for name, _ in made.layer.named_parameters():
                yield Slice(f"{found.path}.{made.path}.{name}", block=width // elements, offset=offset)


def _norms(found: Attention, elements: int, shared: bool) -> Iterator[Slice]:
    """The weights of norms that all heads share."""
    for name, module, kind in across_heads(found):
        width = found.inner if kind == "q" else found.groups * found.width
        if not (shared and kind == "k"):
            for key, _ in module.named_parameters(recurse=False):
                yield Slice(f"{found.path}.{name}.{key}", block=width // elements)


def _counters(found: Attention, elements: int, shared: bool) -> Iterator[Counter]:
    """The attributes that count heads, heads of keys, and the channels of either."""
    kept = {name: value for name, value in vars(found.module).items() if type(value) is int}
    queries, keys = found.inner, found.groups * found.width
    for names, count in ((HEADS, found.count), (KEY_HEADS, found.groups), (INNER, queries), (INNER, keys)):
        of_keys = count in (found.groups, keys) and count not in (found.count, queries)
        for name in names:
            if kept.get(name) == count and not (shared and of_keys) and name != "mlp_hidden_dim":
                yield Counter(found.path, name, count // elements)
        if queries == keys and names is INNER:
            break
    if shared:  # one head of keys serves all of the queries that stay
        yield from (Counter(found.path, name) for name in SHARING if kept.get(name) == found.count)
    for name, module, kind in across_heads(found):
        counted = "normalized_shape" in vars(module) and not list(module.parameters(recurse=False))
        if counted and not (shared and kind == "k"):
            width = queries if kind == "q" else keys
            yield Counter(f"{found.path}.{name}", "normalized_shape", width // elements)


def _instead(
    found: Attention, readers: list[tuple[str, int]], call: Call | None, seen: bool
) -> Instead | None:
    """What is left of an attention without heads: biases, or nothing; None where that is not known.

    seen: whether it can be seen that each stream gets its own.
    """
    own = tuple(each.path for each in found.readers)
    kind = type(getattr(found.module, "processor", None)).__name__
    if call is None:
        return _left(found, own[:1], None) if len(own) == 1 and kind in ("NoneType", *ONE_STREAM) else None
    if call.streams is None:
        return None
    if any(each.makes == "qkv_mlp" for each in found.projections):
        return None  # its feed-forward would go, too
    if not own:
        return Instead("nothing", returns=call.returns, width=0, streams=call.shorthand)
    streams = len([each for each in call.streams if each is not None])
    if streams > 1 and not (call.certain or seen):
        return None
    second = any(each.second for each in found.projections)
    other = own[1] if len(own) > 1 else None if second else own[0]
    biases = [
        None if each is None else other if number and OTHERS & set(words(each)) else own[0]
        for number, each in enumerate(call.streams if streams > 1 else call.streams[:1])
    ]
    return _left(found, tuple(biases), call)


def _left(found: Attention, biases: tuple[str | None, ...], call: Call | None) -> Instead:
    first = cast(nn.Linear, found.module.get_submodule(cast(str, biases[0])))
    read = next(each.layer.in_features for each in found.projections if each.makes in ("q", "qkv", "qkv_mlp"))
    several = len(biases) > 1
    return Instead(
        "bias",
        biases=biases,
        returns=call.returns if call else 0,
        streams=call.shorthand if call else (),
        width=None if first.out_features == read or several else int(first.out_features),
        residual=bool(getattr(found.module, "residual_connection", False)),
        rescale=float(getattr(found.module, "rescale_output_factor", 1.0)),
    )


HEAD = Granularity("head", heads, proven, "attentions", like_attentions)
