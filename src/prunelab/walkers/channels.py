"""Channel units over a whole U-Net, the residual stream included.

Which slices of which layers hold the same channel follows from the network's wiring: torch-pruning (Fang et
al., CVPR 2023, arXiv 2301.12900) traces it, through additions, skip concatenations, attention and gated
activations. Only its dependency graph is used; ranking, rounding and removal are prunelab's own.

``channel``: an element is one channel. A group norm needs equally many channels in each of its groups, and
attention equally many in each head, so these are the unit's runs. Through a norm a removed channel still
counts in the statistics when it is only gated, so such units are not exact.
``free_channel``: an element is a channel that meets neither norm nor attention, such as the hidden ones of
feed-forwards and of the time embedding: exact, so factors between 0 and 1 mean something.
``norm_group``: an element is a whole norm group of a layer inside a block, which no other norm sees: exact.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, cast

from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from prunelab.core.errors import Refusal
from prunelab.core.units import Counter, Gate, Slice, Unit
from prunelab.costs.meta_copy import meta_copy
from prunelab.surgery.pruned_layers import Bias, Skip
from prunelab.surgery.pruned_structure import HEAD, HEADS, Kept
from prunelab.walkers.calls import Calls
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.wiring import wiring


@dataclass(frozen=True)
class Member:
    """One side of a layer that holds a coupling's channels, once from each of ``offsets`` on."""

    path: str
    module: nn.Module
    side: Literal["in", "out"]
    offsets: tuple[int, ...]

    @property
    def dim(self) -> int:
        """The dimension of the layer's activations along which the channels lie."""
        return 1 if isinstance(self.module, nn.Conv2d) else -1

    @property
    def stands_in(self) -> bool:
        """Whether this is no layer: the channels only flow through here."""
        return isinstance(self.module, nn.BatchNorm2d)

    def slices(self, block: int) -> list[Slice]:
        """The slices of its parameters: columns of what reads the channels or looks them up, else rows."""
        if self.side == "in":
            return [Slice(f"{self.path}.weight", 1, block, offset) for offset in self.offsets]
        names = [name for name, _ in self.module.named_parameters(recurse=False) if not self.stands_in]
        dim = 1 if isinstance(self.module, nn.Embedding) else 0
        return [Slice(f"{self.path}.{name}", dim, block, offset) for offset in self.offsets for name in names]


@dataclass(frozen=True)
class Coupling:
    """``width`` channels that every member has, in the order of the network's modules."""

    width: int
    members: tuple[Member, ...]

    @property
    def norms(self) -> list[Member]:
        """The norms that the channels pass through."""
        return [each for each in self.members if isinstance(each.module, nn.GroupNorm | nn.LayerNorm)]

    @property
    def source(self) -> str:
        """The first layer that makes the channels: it names the unit."""
        layers = [each for each in self.members if not each.stands_in and each not in self.norms]
        made = [each for each in layers if each.side == "out" and not isinstance(each.module, Kept)]
        return made[0].path

    def gates(self, block: int) -> tuple[Gate, ...]:
        """Where the channels are read: behind norms and activations, so that gating is as removal is."""
        return tuple(
            Gate(each.path, "input", dim=each.dim, block=block, offset=offset)
            for each in self.members
            if each.side == "in"
            for offset in each.offsets
        )


def channels(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """One unit per coupling; an element is a channel. Nothing where ``root`` is no U-Net of diffusers."""
    for coupling in couplings(root, calls.inputs()):
        attentions = _attentions(root, coupling)
        groups = [each.module.num_groups for each in coupling.norms if isinstance(each.module, nn.GroupNorm)]
        heads = [cast(Attention, root.get_submodule(path)).heads for path in attentions]
        pools = _pools(root, coupling)
        runs = math.lcm(*map(int, groups), *map(int, heads), *(each.among for each in pools))
        if coupling.width % runs == 0:
            inner = [Counter(path, name) for path in attentions for name in ("inner_dim", "inner_kv_dim")]
            counters = (*inner, *pools, *_sampler_counters(root, coupling))
            exact = not coupling.norms and not attentions and not pools
            yield _unit(component, "channel", coupling, coupling.width, runs, counters, exact)


def free_channels(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """The channels whose gating is their removal to round-off, as a granularity of their own."""
    for unit in channels(component, root, calls):
        if unit.exact:
            yield replace(unit, granularity="free_channel")


def norm_groups(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """One unit per coupling whose norms all see these channels alone, in the same groups."""
    for coupling in couplings(root, calls.inputs()):
        groups = {_own_groups(each, coupling.width) for each in coupling.norms}
        count = groups.pop() if len(groups) == 1 else 0
        if count:
            counted = [Counter(each.path, "num_groups") for each in coupling.norms]
            counters = (*counted, *_sampler_counters(root, coupling, coupling.width // count))
            yield _unit(component, "norm_group", coupling, count, 1, counters, True)


def _unit(
    component: str,
    granularity: str,
    coupling: Coupling,
    elements: int,
    runs: int,
    counters: tuple[Counter, ...],
    exact: bool,
) -> Unit:
    block = coupling.width // elements
    first, *more = coupling.gates(block)
    return Unit(
        component=component,
        path=coupling.source,
        granularity=granularity,
        elements=elements,
        slices=tuple(piece for each in coupling.members for piece in each.slices(block)),
        gate=first,
        host=coupling.source,
        counters=counters,
        exact=exact,
        more_gates=tuple(more),
        runs=runs,
    )


def _attentions(root: nn.Module, coupling: Coupling) -> list[str]:
    """Attentions whose inner width these channels are; their softmax sees queries and keys shrink."""
    paths = [each.path.removesuffix(".to_out.0") for each in coupling.members if each.side == "in"]
    return [path for path in paths if path and isinstance(root.get_submodule(path), Attention)]


def _pools(root: nn.Module, coupling: Coupling) -> list[Counter]:
    """Attentions that count the channels of one head, as the one does that pools a text for a U-Net."""
    around = {each.path.rpartition(".")[0]: None for each in coupling.members if each.side == "out"}
    kept = {path: vars(root.get_submodule(path)) for path in around}
    return [
        Counter(path, HEAD, among=kept[path][name])
        for path, name in product(around, HEADS)
        if HEAD in kept[path] and coupling.width == kept[path].get(name, 0) * kept[path][HEAD]
    ]


def _own_groups(norm: Member, width: int) -> int:
    """The number of groups of a norm that sees exactly these channels, else 0."""
    module: Any = norm.module
    alone = isinstance(module, nn.GroupNorm) and module.num_channels == width and norm.offsets == (0,)
    return int(module.num_groups) if alone else 0


def _sampler_counters(root: nn.Module, coupling: Coupling, block: int = 1) -> list[Counter]:
    """Up- and downsamplers check the width of their input against an attribute of their own."""
    counters = []
    for each in coupling.members:
        parent = each.path.removesuffix(".projection").rpartition(".")[0]
        if isinstance(root.get_submodule(parent), Upsample2D | Downsample2D):
            names = {"in": ["channels"], "out": ["out_channels"]}[each.side]
            names = ["channels", "out_channels"] if each.stands_in else names
            counters += [Counter(parent, name, block) for name in names]
    return counters


def couplings(root: nn.Module, inputs: Mapping[str, Any]) -> Iterator[Coupling]:
    """Every set of coupled channels, less the denoiser's own inputs and outputs.

    What conditions are projected to counts as an input: with a table of classes it is what others have
    outside of the denoiser, where its width cannot go, and a guidance is added to the waves of the time.
    """
    if not isinstance(root, UNet2DModel | UNet2DConditionModel):
        return
    shadow = _traceable(meta_copy(root)).requires_grad_(True)
    examples = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), dict(inputs))
    try:
        graph, places = wiring(shadow, examples), _places(shadow)
        fixed = [part for each in _fixed(shadow) for part in each.modules()]
        found = [_coupling(graph, group, places) for group in graph.get_all_groups(ignored_layers=fixed)]
    except (TypeError, ValueError) as error:
        raise Refusal(
            f"the wiring of this {type(root).__name__} cannot be followed any more: choose another "
            "granularity than channels; where layers were removed before, prune channels first"
        ) from error
    order = {path: number for number, (path, _) in enumerate(root.named_modules())}
    found = [coupling for coupling in found if coupling.width]
    yield from sorted(found, key=lambda coupling: order[coupling.source])


def _fixed(shadow: Any) -> list[nn.Module]:
    """The modules that make what is as wide as something that no layer makes."""
    guidance = getattr(getattr(shadow, "time_embedding", None), "cond_proj", None)
    found = (shadow.conv_out, getattr(shadow, "encoder_hid_proj", None), guidance)
    return [each for each in found if each is not None]


def _traceable(shadow: Any) -> Any:
    """A U-Net whose removed modules are wired as they were: what comes out is as wide as what goes in.

    What flows instead may be a constant, which leaves no trace; and where a sampler has no convolution, or
    lost it, nothing tells of the channels that it counts.
    """
    for module in list(shadow.modules()):
        if isinstance(module, Bias):
            module.residual = module.width is None
        elif isinstance(module, Skip) and module.becomes == "nothing" and module.width is None:
            module.becomes = "input"
        elif isinstance(module, Upsample2D | Downsample2D):
            _shown(module)
    return shadow


def _shown(sampler: Any) -> None:
    """Let one without a convolution pass its channels through a layer that stands in."""
    layer = nn.BatchNorm2d(sampler.channels, device="meta").eval()
    if isinstance(sampler.conv, nn.AvgPool2d):
        sampler.conv = nn.Sequential(OrderedDict(pool=sampler.conv, projection=layer))
    elif sampler.conv is None or type(sampler.conv) is Skip:
        sampler.conv, sampler.use_conv, sampler.name = layer, True, "conv"


def _places(root: nn.Module) -> dict[Any, tuple[int, str, nn.Module]]:
    """Each module's number, path and itself, by what stands for it in the graph."""
    places: dict[Any, tuple[int, str, nn.Module]] = {}
    for number, (path, module) in enumerate(root.named_modules()):
        held = module.bias if isinstance(module, Kept) else module  # a parameter of no layer
        places[held] = number, path, module
    return places


def _coupling(graph: Any, group: Any, places: Mapping[Any, tuple[int, str, nn.Module]]) -> Coupling:
    items = [item for item in group.items if item.dep.target.module in places]
    width = min(len(item.idxs) for item in items)
    _check_period(graph, group, width)
    members = {}
    for item in items:
        held = item.dep.target.module
        reads = graph.is_in_channel_pruning_fn(item.dep.handler) and not _only_makes(held)
        number, path, module = places[held]
        offsets = _offsets(path, item.idxs, item.root_idxs, width)
        members[number, reads] = Member(path, module, "in" if reads else "out", offsets)
    return Coupling(width, tuple(members[key] for key in sorted(members)))


def _only_makes(module: nn.Module) -> bool:
    """Whether a layer gives as many channels as it reads, or reads none."""
    norms = nn.GroupNorm | nn.LayerNorm | nn.BatchNorm2d
    return isinstance(module, norms | Kept | nn.Parameter | nn.Embedding)


def _check_period(graph: Any, group: Any, width: int) -> None:
    """Where one layer holds the channels several times (a gated activation), they repeat with the width."""
    first = group[0]
    if len(first.idxs) == width:
        return
    probe = graph.get_pruning_group(first.dep.target.module, first.dep.handler, [0])
    if sorted(probe[0].idxs) != list(range(0, len(first.idxs), width)):
        raise ValueError(f"the channels of {first.dep.target.name} are coupled in no order known here")


def _offsets(path: str, indices: list[int], roots: list[int], width: int) -> tuple[int, ...]:
    """Where the channels 0, 1, ... of a coupling start in one layer, once or more often."""
    held = sorted(zip(indices, roots, strict=True))
    starts = [index for index, root in held if root % width == 0]
    expected = [(start + i, i) for start in starts for i in range(width)]
    if [(index, root % width) for index, root in held] != expected:
        raise ValueError(f"the channels in {path} lie in no order known here")
    return tuple(starts)


CHANNEL = Granularity("channel", channels)
FREE_CHANNEL = Granularity("free_channel", free_channels)
NORM_GROUP = Granularity("norm_group", norm_groups)
