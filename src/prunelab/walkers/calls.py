"""What every module of a component is given, and what it gives back, in one forward pass.

What a module returns (a tensor, several, which of them follows which argument) decides what may come in its
place; no class says it, a call shows it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map_only
from transformers.cache_utils import Cache

from prunelab.costs.meta_copy import meta_copy
from prunelab.costs.shapes import Shortcuts
from prunelab.surgery.pruned_layers import parameter_names

SMALL = 20_000_000  # parameters of a component that is run as it is, not on the meta device
# What a forward raises that reads values where there are none, or that was given what does not fit.
FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)
ASIDE = ("mask", "bias", "emb", "ids")  # how arguments are called that no stream runs through
ALIKE = 0.2  # cosine of a residual stream before and after a block, at the least
FEW = 8  # values that a module may return and still have something come in its place


@dataclass(frozen=True)
class Call:
    """One call of a module.

    args, kwargs: what it was given; floats have a shape alone (they lie on the meta device), whole numbers
        their values where the call had any.
    returns: how many values it returned as a tuple, 0 for a bare tensor.
    streams: the argument that each of them follows, None for a value that is none, or that follows nothing;
        None where the first one follows nothing. complete: whether none follows nothing. width: of the first
        value where that is not its argument's. alike: whether every value has its argument's shape. certain:
        whether no other argument could be meant. default: the first argument, or else
        ``hidden_states``. names: of the arguments by position.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    returns: int
    streams: tuple[str | None, ...] | None
    width: int | None
    alike: bool
    certain: bool
    complete: bool
    default: str
    names: tuple[str, ...]

    @property
    def given(self) -> dict[str, Any]:
        """The arguments by name."""
        return {**dict(zip(self.names, self.args, strict=False)), **self.kwargs}

    @property
    def shorthand(self) -> tuple[str | None, ...]:
        """The streams; empty where the first value follows ``default`` and no other follows any."""
        follow = self.streams or ()
        return () if follow[:1] == (self.default,) and not any(follow[1:]) else follow


@dataclass
class Recording:
    """Calls by path, the inputs that led to them, and on which device these ran; None where none did.

    refusals: (granularity, path) -> why a unit is not offered. accepted: granularity -> paths -> those of
    them without which the component ran.
    """

    found: Mapping[str, Call]
    inputs: Mapping[str, Any]
    device: torch.device | None
    refusals: dict[tuple[str, str], str] = field(default_factory=dict)
    accepted: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)


# What is called, and how, does not depend on weights: one recording for each component in a process.
_KNOWN: WeakKeyDictionary[nn.Module, Recording] = WeakKeyDictionary()


class Calls:
    """The calls of one component's modules by path, recorded when the first is asked for.

    inputs: makes the keyword arguments of one forward pass of ``root``; where it makes none, no call is
    known.
    """

    def __init__(self, root: nn.Module, inputs: Callable[[], Mapping[str, Any]] = dict) -> None:
        self.root, self.inputs = root, inputs

    def get(self, path: str) -> Call | None:
        """The first call of the module at ``path``; None where it was not called, or nothing is known."""
        return self.recording.found.get(path)

    @property
    def numbers(self) -> bool:
        """Whether the forward pass gives numbers, not shapes alone."""
        device = self.recording.device
        return device is not None and device.type != "meta"

    @cached_property
    def recording(self) -> Recording:
        """The forward pass that was recorded."""
        if self.root not in _KNOWN:
            given = self.inputs()
            if not given:
                return Recording({}, {}, None)
            _KNOWN[self.root] = recorded(self.root, given)
        return _KNOWN[self.root]


def recorded(root: nn.Module, inputs: Mapping[str, Any]) -> Recording:
    """The first call of every module that ``inputs`` reach; nothing where the forward fails.

    A small component runs as it is, a large one on the meta device, and as it is where that fails and would
    not take long.
    """
    parameters = list(root.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    real = not any(parameter.is_meta for parameter in parameters)
    soon = real and (size <= 10 * SMALL or parameters[0].device.type != "cpu")
    attempts = [root] if real and size <= SMALL else [meta_copy(root), *([root] if soon else [])]
    for attempt in attempts:
        try:
            with torch.random.fork_rng(devices=[]):  # whatever is drawn, the run that follows draws it anew
                return _run(attempt, inputs)
        except FAILURES:
            continue
    return Recording({}, {}, None)


def _run(root: nn.Module, inputs: Mapping[str, Any]) -> Recording:
    device = next((parameter.device for parameter in root.parameters()), torch.device("cpu"))
    found: dict[str, Call] = {}
    moved = tree_map_only(Tensor, lambda tensor: tensor.to(device), dict(inputs))
    quick = (torch.inference_mode(), Shortcuts()) if device.type == "meta" else (torch.no_grad(),)
    with ExitStack() as stack:
        for mode in quick:
            stack.enter_context(mode)
        for path, module in root.named_modules():
            hook = module.register_forward_hook(partial(_record, found, path), with_kwargs=True)
            stack.callback(hook.remove)
        root(**moved)
    return Recording(found, moved, device)


def _record(found: dict[str, Call], path: str, *call: Any) -> None:
    if path not in found:
        found[path] = _call(*call)


def _call(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Call:
    names = [*parameter_names(module), *(f"*{number}" for number in range(len(args)))]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    values = output if isinstance(output, tuple) else (output,)
    follow, certain = _followed(values, tensors) if len(values) <= FEW else (None, False)
    both = list(zip(values, follow or (), strict=False))
    pairs = [(value, tensors[name]) for value, name in both if name is not None]
    return Call(
        args=_shapes(args),
        kwargs=_shapes(kwargs),
        returns=len(values) if isinstance(output, tuple) else 0,
        streams=follow,
        width=_other_width(*pairs[0]) if pairs else None,
        alike=bool(pairs) and all(value.shape == argument.shape for value, argument in pairs),
        certain=certain,
        complete=all(value is None or name is not None for value, name in both),
        default=names[0] if args else "hidden_states",
        names=tuple(names),
    )


def _followed(
    values: Sequence[Any], tensors: Mapping[str, Tensor]
) -> tuple[tuple[str | None, ...] | None, bool]:
    """The argument that each value follows, and whether none could have been another."""
    follow: list[str | None] = []
    certain = True
    for value in values:
        if not isinstance(value, Tensor):
            follow.append(None)
            continue
        free = {name: tensor for name, tensor in tensors.items() if name not in follow}
        candidates = [name for name, tensor in free.items() if tensor is value]
        free = {name: tensor for name, tensor in free.items() if not name.endswith(ASIDE)}
        candidates = candidates or [name for name, each in free.items() if _same(value, each)]
        candidates = candidates or [name for name, each in free.items() if _other_width(value, each)]
        nearest = _nearest(value, {name: tensors[name] for name in candidates})
        certain = certain and (len(candidates) <= 1 or len(values) == 1 or nearest is not None)
        follow.append(nearest or next(iter(candidates), None))
        if not any(follow):
            return None, False
    return tuple(follow), certain


def _nearest(value: Tensor, candidates: Mapping[str, Tensor]) -> str | None:
    """Which of several arguments runs through to ``value``, by its direction; None where nothing tells."""
    alike = all(each.shape == value.shape for each in candidates.values())
    if len(candidates) < 2 or value.is_meta or not alike:
        return None
    likeness = {
        name: float(functional.cosine_similarity(value.flatten(), each.flatten(), dim=0))
        for name, each in candidates.items()
    }
    first, second, *_ = sorted(likeness, key=lambda name: -likeness[name])
    return first if likeness[first] > ALIKE and likeness[first] > 2 * likeness[second] else None


def _same(value: Tensor, argument: Tensor) -> bool:
    return value.shape == argument.shape and value.dtype == argument.dtype


def _other_width(value: Tensor, argument: Tensor) -> int | None:
    """How many channels ``value`` has, where these are not as many as its argument's; else None."""
    if value.dtype != argument.dtype or value.ndim != argument.ndim or value.ndim < 2:
        return None
    channels = 1 if value.ndim >= 4 else -1
    places = [list(each.shape) for each in (value, argument)]
    width = places[0].pop(channels)
    places[1].pop(channels)
    return width if places[0] == places[1] and value.shape != argument.shape else None


def _shapes(given: Any) -> Any:
    """Floats by their shapes, and without what is remembered from call to call."""

    @torch.inference_mode(False)  # whoever calls the module with them may want gradients
    def shape(held: Tensor | Cache) -> Tensor | None:
        if isinstance(held, Cache):
            return None
        if not (held.is_floating_point() or held.is_complex()):
            return held.detach().clone()
        return torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device="meta")

    return tree_map_only((Tensor, Cache), shape, given, is_leaf=lambda each: isinstance(each, Cache))
