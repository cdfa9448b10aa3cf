"""Neurons: one unit per feed-forward, an element is a hidden neuron with all that makes and reads it."""

from collections.abc import Iterator, Sequence

from torch import nn

from prunelab.core.units import Counter, Gate, Slice, Unit
from prunelab.walkers.attentions import Attention, Projection, attentions
from prunelab.walkers.calls import Calls
from prunelab.walkers.feed_forwards import FeedForward, feed_forwards
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.heads import parent_reader
from prunelab.walkers.likeness import like_feed_forwards
from prunelab.walkers.proof import proven


def neurons(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """One unit per feed-forward, then one for each that is in two parts, or runs beside an attention."""
    yield from (_whole(component, found) for found in feed_forwards(root))
    yield from _parted(component, root)
    for found in attentions(root):
        fused = [each for each in found.projections if each.makes == "qkv_mlp"]
        yield from _fused(component, found, fused[0]) if fused else _beside(component, root, found)


def _unit(
    component: str,
    path: str,
    elements: int,
    rows: Sequence[Slice],
    gate: Gate,
    counters: tuple[Counter, ...] = (),
) -> Unit:
    """Neurons that ``rows`` make, and that the module behind ``gate`` reads."""
    return Unit(
        component=component,
        path=path,
        granularity="neuron",
        elements=elements,
        slices=(*rows, Slice(f"{gate.module}.weight", dim=1, offset=gate.offset)),
        gate=gate,
        host=path,
        counters=counters,
        runs=1 if counters else 0,  # what is counted is never none
    )


def _whole(component: str, found: FeedForward) -> Unit:
    makers = [(name, half * found.neurons) for name, times in found.makers for half in range(times)]
    gate = Gate(f"{found.path}.{found.reader}", "input", dim=1 if found.depthwise else -1)
    counters: tuple[Counter, ...] = ()
    if found.depthwise:
        makers += [(found.depthwise, 0), (found.depthwise, found.neurons)]
        depthwise = f"{found.path}.{found.depthwise}"
        counters = (Counter(depthwise, "in_channels", 2), Counter(depthwise, "groups", 2))
    rows = [row for name, offset in makers for row in _rows(found.module, found.path, name, offset)]
    return _unit(component, found.path, found.neurons, rows, gate, counters)


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
            rows = _rows(module, path, "intermediate.dense")
            gate = Gate(f"{path}.output.dense", "input")
            yield _unit(component, f"{path}.intermediate", read.in_features, rows, gate)


def _rows(module: nn.Module, path: str, name: str, offset: int = 0) -> list[Slice]:
    """The output rows of a layer: its weight's and, where there is one, its bias's."""
    names = [key for key, _ in module.get_submodule(name).named_parameters()]
    return [Slice(f"{path}.{name}.{key}", offset=offset) for key in names]


def _fused(component: str, found: Attention, made: Projection) -> Iterator[Unit]:
    """Neurons whose rows lie behind those of queries, keys and values, and what reads them behind heads."""
    heads = found.inner + 2 * found.groups * found.width
    reader = found.readers[0]
    size = reader.layer.in_features - found.inner
    times = (len(made.layer.weight) - heads) // max(size, 1)
    if size <= 0 or times * size + heads != len(made.layer.weight):
        return
    halves = [heads + half * size for half in range(times)]
    rows = [row for offset in halves for row in _rows(found.module, found.path, made.path, offset)]
    gate = Gate(f"{found.path}.{reader.path}", "input", offset=found.inner)
    counted = vars(found.module).get("mlp_hidden_dim") == size
    counters = (Counter(found.path, "mlp_hidden_dim"),) if counted else ()
    yield _unit(component, f"{found.path}.{made.path}", size, rows, gate, counters)


def _beside(component: str, root: nn.Module, found: Attention) -> Iterator[Unit]:
    """A feed-forward beside an attention that has no projection of its own: the block's reads both."""
    parent = found.path.rpartition(".")[0]
    layer = dict(root.get_submodule(parent).named_children()).get("proj_mlp")
    readers = [] if found.readers else parent_reader(root, found)
    if not readers or not isinstance(layer, nn.Linear):
        return
    reader, size = readers[0][0], len(layer.weight)
    offset = root.get_submodule(reader).get_parameter("weight").shape[1] - size
    rows = _rows(root.get_submodule(parent), parent, "proj_mlp")
    yield _unit(component, f"{parent}.proj_mlp", size, rows, Gate(reader, "input", offset=offset))


NEURON = Granularity("neuron", neurons, proven, "feed-forwards", like_feed_forwards)
