"""Blocks: one unit of one element per ResNet block and transformer block.

A transformer block is a member of a stack whose values have the shapes of what it was given, as a recorded
call shows: a residual stream runs through it. A module around a single transformer block goes whole, with its
projections; one around several loses them one by one.
"""

from collections.abc import Iterator
from functools import partial

from torch import nn

from prunelab.core.units import Instead, Unit
from prunelab.surgery.pruned_structure import CONVOLUTIONS
from prunelab.walkers.acceptance import accepted
from prunelab.walkers.calls import Calls
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.stacks import block_paths
from prunelab.walkers.whole import outermost, whole


def blocks(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """The blocks of ``root`` in the order of its modules."""
    inner = set(block_paths(root))
    members = {
        f"{path}.{name}"
        for path, module in root.named_modules()
        if isinstance(module, nn.ModuleList)
        for name, _ in module.named_children()
    }
    around = {path for path in members if _single(path, inner)}
    for path, module, instead in outermost(root, partial(_instead, inner | around, calls)):
        yield whole(component, path, module, "block", instead)


def _single(path: str, inner: set[str]) -> bool:
    """Whether a member of a stack lies around exactly one block."""
    return sum(each.startswith(f"{path}.") for each in inner) == 1


def _instead(candidates: set[str], calls: Calls, path: str, module: nn.Module) -> Instead | None:
    if _resnet(module):
        return Instead("input" if getattr(module, "conv_shortcut", None) is None else "shortcut")
    if path not in candidates:
        return None
    call = calls.get(path)
    if call is None or call.streams is None or not (call.alike and call.certain):
        return None
    if not (call.complete or calls.numbers):
        return None
    return Instead("input", returns=call.returns, streams=call.shorthand)


def _resnet(module: nn.Module) -> bool:
    """Whether two norms and two convolutions are added to the input, or to its shortcut, at its own size."""
    parts = dict(module.named_children())
    norms, convolutions = ([parts.get(f"{name}{number}") for number in (1, 2)] for name in ("norm", "conv"))
    return (
        all(norm is not None for norm in norms)
        and all(isinstance(each, CONVOLUTIONS) for each in convolutions)
        and not (getattr(module, "up", False) or getattr(module, "down", False))
        and getattr(module, "output_scale_factor", 1) == 1
    )


BLOCK = Granularity("block", blocks, accepted, "transformer blocks", block_paths, whole=True)
