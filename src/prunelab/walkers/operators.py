"""Operators: one unit of one element per convolution, attention, feed-forward and norm, a disjoint set.

Only operators that keep their input's shape are listed; one that changes it needs a bypass.
"""

from collections.abc import Iterator
from functools import partial
from typing import cast

from torch import nn

from prunelab.core.units import Instead, Unit
from prunelab.surgery.pruned_structure import CONVOLUTIONS, plain_norm
from prunelab.walkers.acceptance import accepted
from prunelab.walkers.attentions import Attention, attentions
from prunelab.walkers.calls import Call, Calls
from prunelab.walkers.feed_forwards import FeedForward, feed_forwards
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.heads import ONE_STREAM
from prunelab.walkers.likeness import like_operators
from prunelab.walkers.whole import outermost, whole


def operators(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """The operators of ``root`` in the order of its modules."""
    known = {found.path: found for found in feed_forwards(root)}
    attending = {found.path: found for found in attentions(root)}
    for path, module, instead in outermost(root, partial(_instead, known, attending, calls)):
        yield whole(component, path, module, "operator", instead)


def _instead(
    known: dict[str, FeedForward], attending: dict[str, Attention], calls: Calls, path: str, module: nn.Module
) -> Instead | None:
    """What flows instead of an operator; None where the module is no shape-keeping operator.

    Attention and feed-forward sit inside a residual, so nothing flows; an attention that adds its own
    residual, a convolution and a norm pass their input on.
    """
    if path in attending:
        return _of_attention(attending[path], calls.get(path), calls.numbers)
    if path in known:
        return _of_feed_forward(known[path], calls.get(path), calls.numbers)
    if isinstance(module, CONVOLUTIONS):
        return Instead("input") if _same_shape(module) else None
    if isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.RMSNorm) or plain_norm(module):
        return Instead("input")
    return None


def _of_attention(found: Attention, call: Call | None, seen: bool) -> Instead | None:
    if getattr(found.module, "rescale_output_factor", 1) != 1:
        return None
    adds = bool(getattr(found.module, "residual_connection", False))
    if call is None:
        kind = type(getattr(found.module, "processor", None)).__name__
        if kind not in ONE_STREAM or not found.readers:
            return None
        made = found.readers[0].layer.out_features
        read = next(each.layer.in_features for each in found.projections if each.makes == "q")
        return Instead("input") if adds else Instead("nothing", width=None if made == read else int(made))
    return _flowing(call, adds, seen)


def _flowing(call: Call, adds: bool, seen: bool) -> Instead | None:
    """Nothing in the place of each value that was returned, or the input where the module added it.

    seen: whether it can be seen that nobody misses a value that follows nothing, as attention's weights.
    """
    if call.streams is None or not (call.complete or seen):
        return None
    if adds:
        fits = call.alike and call.certain
        return Instead("input", returns=call.returns, streams=call.shorthand) if fits else None
    several = len([each for each in call.streams if each is not None]) > 1
    if several and not call.alike:
        return None
    return Instead("nothing", returns=call.returns, width=call.width, streams=call.shorthand)


def _of_feed_forward(found: FeedForward, call: Call | None, seen: bool) -> Instead | None:
    if call is not None:
        return _flowing(call, False, seen)
    if found.depthwise:
        return None
    last = cast(nn.Linear, found.module.get_submodule(found.reader))
    first = cast(nn.Linear, found.module.get_submodule(found.makers[0][0]))
    return Instead(
        "nothing", width=None if last.out_features == first.in_features else int(last.out_features)
    )


def _same_shape(convolution: nn.Module) -> bool:
    """Whether a convolution gives as many channels and places as it is given."""
    assert isinstance(convolution, CONVOLUTIONS)
    if convolution.in_channels != convolution.out_channels or set(convolution.stride) != {1}:
        return False
    if isinstance(convolution.padding, str):
        return convolution.padding == "same"
    sides = zip(convolution.padding, convolution.dilation, convolution.kernel_size, strict=True)
    return all(2 * padding == dilation * (kernel - 1) for padding, dilation, kernel in sides)


OPERATOR = Granularity(
    "operator", operators, accepted, "attentions and feed-forwards", like_operators, whole=True
)
