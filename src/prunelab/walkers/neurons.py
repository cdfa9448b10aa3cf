"""Neurons: one unit per feed-forward, an element is a hidden neuron with all that makes and reads it."""

from collections.abc import Iterator

from torch import nn

from prunelab.core.units import Counter, Gate, Slice, Unit
from prunelab.walkers.attentions import Attention, Projection, attentions
from prunelab.walkers.calls import Calls
from prunelab.walkers.feed_forwards import FeedForward, feed_forwards
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.heads import parent_reader
from prunelab.walkers.likeness import like_feed_forwards
from prunelab.walkers.proof import proven


def neurons(component: str, root: nn.Module, calls: Calls | None = None) -> Iterator[Unit]:
    """One unit per feed-forward, then one for each that is in two parts, or runs beside an attention."""
    yield from (_unit(component, found) for found in feed_forwards(root))
    yield from _parted(component, root)
    for found in attentions(root):
        fused = [each for each in found.projections if each.makes == "qkv_mlp"]
        yield from _fused(component, found, fused[0]) if fused else _beside(component, root, found)


def _unit(component: str, found: FeedForward) -> Unit:
    reader, size = f"{found.path}.{found.reader}", found.neurons
    rows = [
        piece
        for name, times in found.makers
        for half in range(times)
        for piece in rows_from(found.module, found.path, name, half * size)
    ]
    counters: tuple[Counter, ...] = ()
    if found.depthwise:
        depthwise = f"{found.path}.{found.depthwise}"
        halves = (0, size)
        rows += [
            piece for half in halves for piece in rows_from(found.module, found.path, found.depthwise, half)
        ]
        counters = (Counter(depthwise, "in_channels", 2), Counter(depthwise, "groups", 2))
    return Unit(
        component=component,
        path=found.path,
        granularity="neuron",
        elements=size,
        slices=(*rows, Slice(f"{reader}.weight", dim=1)),
        gate=Gate(reader, "input", dim=1 if found.depthwise else -1),
        host=found.path,
        counters=counters,
        runs=1 if found.depthwise else 0,  # a convolution cannot be left without channels
    )


def _parted(component: str, root: nn.Module) -> Iterator[Unit]:
    """A feed-forward of two modules, the second of which adds its block's input (BERT)."""
    for path, module in root.named_modules():
        makers, readers = (module._modules.get(name) for name in ("intermediate", "output"))
        made, read = (each and each._modules.get("dense") for each in (makers, readers))
        if (
            isinstance(made, nn.Linear)
            and isinstance(read, nn.Linear)
            and read.in_features == len(made.weight)
        ):
            reader = f"{path}.output.dense"
            yield Unit(
                component=component,
                path=f"{path}.intermediate",
                granularity="neuron",
                elements=read.in_features,
                slices=(
                    *rows_from(module, path, "intermediate.dense", 0),
                    Slice(f"{reader}.weight", dim=1),
                ),
                gate=Gate(reader, "input"),
                host=f"{path}.intermediate",
            )


def rows_from(module: nn.Module, path: str, name: str, offset: int, block: int = 1) -> list[Slice]:
    """The output rows of a layer: its weight's and, where there is one, its bias's."""
    names = [key for key, _ in module.get_submodule(name).named_parameters()]
    return [Slice(f"{path}.{name}.{key}", block=block, offset=offset) for key in names]


def _fused(component: str, found: Attention, made: Projection) -> Iterator[Unit]:
    """Neurons whose rows lie behind those of queries, keys and values, and what reads them behind heads."""
    heads = found.inner + 2 * found.groups * found.width
    reader = found.readers[0]
    size = reader.layer.in_features - found.inner
    times = (len(made.layer.weight) - heads) // max(size, 1)
    if size <= 0 or times * size + heads != len(made.layer.weight):
        return
    rows = [
        piece
        for half in range(times)
        for piece in rows_from(found.module, found.path, made.path, heads + half * size)
    ]
    kept = vars(found.module).get("mlp_hidden_dim") == size
    yield Unit(
        component=component,
        path=f"{found.path}.{made.path}",
        granularity="neuron",
        elements=size,
        slices=(*rows, Slice(f"{found.path}.{reader.path}.weight", dim=1, offset=found.inner)),
        gate=Gate(f"{found.path}.{reader.path}", "input", offset=found.inner),
        host=f"{found.path}.{made.path}",
        counters=(Counter(found.path, "mlp_hidden_dim"),) if kept else (),
        runs=1 if kept else 0,  # a count is never zero
    )


def _beside(component: str, root: nn.Module, found: Attention) -> Iterator[Unit]:
    """A feed-forward beside an attention that has no projection of its own: the block's reads both."""
    parent = found.path.rpartition(".")[0]
    layer = dict(root.get_submodule(parent).named_children()).get("proj_mlp")
    readers = [] if found.readers else parent_reader(root, found)
    if not readers or not isinstance(layer, nn.Linear):
        return
    reader = readers[0][0]
    size = len(layer.weight)
    offset = root.get_submodule(reader).get_parameter("weight").shape[1] - size
    yield Unit(
        component=component,
        path=f"{parent}.proj_mlp",
        granularity="neuron",
        elements=size,
        slices=(
            *rows_from(root.get_submodule(parent), parent, "proj_mlp", 0),
            Slice(f"{reader}.weight", dim=1, offset=offset),
        ),
        gate=Gate(reader, "input", offset=offset),
        host=f"{parent}.proj_mlp",
    )


NEURON = Granularity("neuron", neurons, proven, "feed-forwards", like_feed_forwards)
