"""Listening to a pipeline's own call, at the two places where every pipeline shows what it does.

All that sets a family apart (conditions, packing, how time is told, guidance, learned variances, signs) is
said in its pipeline's ``__call__``. That call is run as it is written, without ``torch.no_grad``, and it is
listened to where it calls the denoiser's ``forward``, and where it calls ``scheduler.step``: what goes in is
the prediction after guidance and sign, the result are the next latents.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.once import once

TIMES = ("timestep", "timesteps", "t", "timestep_ratio")
FEATURES = "get_text_features"  # what a model of two towers, such as CLAP, is asked instead of called
Forward = Callable[..., Any]


class Heard(Exception):
    """Ends a pipeline's call with a value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Stepped(NamedTuple):
    """What stands for a scheduler's answer: read by name, by place, or taken apart."""

    prev_sample: Any
    pred_original_sample: Any


@dataclass
class Inputs:
    """The arguments of one forward pass, by name; the noisy latents and the timestep known apart."""

    arguments: dict[str, Any]
    latents_name: str
    time_name: str

    @property
    def latents(self) -> Tensor:
        """The noisy latents as the denoiser reads them: k times the batch where conditions are stacked."""
        found: Tensor | list[Tensor] = self.arguments[self.latents_name]
        return torch.stack(found) if isinstance(found, list) else found

    @property
    def time(self) -> Any:
        """The timestep as the denoiser is told it."""
        return self.arguments[self.time_name]

    def replaced(self, latents: Tensor | None = None, time: Tensor | None = None) -> dict[str, Any]:
        """The arguments with other latents (b, ...) and timesteps (b,), repeated where rows were stacked."""
        changed = dict(self.arguments)
        rows = len(self.latents)
        if latents is not None:
            own = alike(repeated(latents, rows), self.latents.shape).to(self.latents.dtype)
            listed = isinstance(self.arguments[self.latents_name], list)
            changed[self.latents_name] = list(own) if listed else own
        if time is not None:
            told = repeated(time, rows)
            changed[self.time_name] = told.to(self.time.dtype) if isinstance(self.time, Tensor) else told
        return changed


def alike(value: Tensor, shape: Sequence[int]) -> Tensor:
    """``value`` in this shape, from which it may differ by dimensions of 1; refuses any other."""
    if value.squeeze().shape != torch.Size(side for side in shape if side != 1):
        raise Refusal(
            f"the denoiser reads {tuple(value.shape)} where the scheduler steps {tuple(shape)}: a pipeline "
            "that adds to its latents, or puts them in another order, is not known"
        )
    return value.reshape(tuple(shape))


def repeated(value: Tensor, rows: int) -> Tensor:
    """``value`` as often as it takes to have so many rows."""
    return value if len(value) == rows else value.repeat(rows // len(value), *[1] * (value.ndim - 1))


Denoise = Callable[[Forward, Inputs], Any]
Advance = Callable[..., Any]


def called(
    pipeline: DiffusionPipeline,
    denoiser: nn.Module,
    asked: Mapping[str, Any],
    denoise: Denoise,
    advance: Advance | None = None,
    **parts: Any,
) -> Any:
    """What ``pipeline(**asked)`` returns, or what was heard on the way.

    ``denoise(forward, inputs)`` stands in the place of the denoiser's forward pass, ``advance(step, output,
    timestep, latents, **more)`` in that of ``scheduler.step``. ``parts`` take the places of the pipeline's
    own, among them a ``scheduler`` to spend: schedulers count their steps.
    """
    run = copy.copy(pipeline)
    run.__class__ = _settled(type(pipeline))
    where = next(denoiser.parameters()).device
    parts |= {"_progress_bar_config": {"disable": True}, "_execution_device": where}
    for name, part in parts.items():
        object.__setattr__(run, name, part)
    names, forward = _names(type(denoiser)), denoiser.forward

    def heard(*args: Any, **kwargs: Any) -> Any:
        return denoise(forward, inputs_of(names, args, kwargs))

    if advance is not None:
        _hear_steps(run.scheduler, advance)
    with replaced(denoiser, forward=heard):
        try:
            return plain_call(type(pipeline))(run, **asked)
        except Heard as end:
            return end.value


@once
def _settled(kind: type) -> type:
    """``kind`` whose device is said: by itself it looks at every module of every part, in every call."""
    said = {"_execution_device": None, "__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), said)


def plain_call(kind: type) -> Callable[..., Any]:
    """``kind.__call__`` without the ``torch.no_grad`` around it."""
    return inspect.unwrap(kind.__call__)


@once
def takes(kind: type) -> frozenset[str]:
    """The names of what ``kind.__call__`` takes."""
    return frozenset(inspect.signature(plain_call(kind)).parameters)


@contextmanager
def replaced(holder: Any, **attributes: Any) -> Iterator[None]:
    """Inside the context, ``holder`` has these attributes before those of its class and its own."""
    before = {name: vars(holder)[name] for name in attributes if name in vars(holder)}
    for name, value in attributes.items():
        object.__setattr__(holder, name, value)
    try:
        yield
    finally:
        for name in attributes:
            object.__delattr__(holder, name)
        vars(holder).update(before)


@contextmanager
def listening(module: Any) -> Iterator[list[dict[str, Any]]]:
    """Inside the context, the arguments of each forward pass of ``module``, by name."""
    seen: list[dict[str, Any]] = []
    entry = FEATURES if hasattr(module, FEATURES) else "forward"
    asked, names = getattr(module, entry), _names(type(module), entry)

    def note(*args: Any, **kwargs: Any) -> Any:
        seen.append({**dict(zip(names, args, strict=False)), **kwargs})
        return asked(*args, **kwargs)

    with replaced(module, **{entry: note}):
        yield seen


@once
def _names(kind: type, entry: str = "forward") -> tuple[str, ...]:
    """What ``kind.forward`` takes, or another entry, in order, without ``self``."""
    return tuple(inspect.signature(getattr(kind, entry)).parameters)[1:]


def inputs_of(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Inputs:
    """A forward pass's arguments by name: the first are the latents."""
    arguments = {**dict(zip(names, args, strict=False)), **kwargs}
    told = next((name for name in TIMES if name in arguments), None)
    if told is None:
        raise Refusal(f"the denoiser is told {', '.join(arguments)}: which of these is the time is not known")
    return Inputs(arguments, names[0], told)


def _hear_steps(scheduler: Any, advance: Advance) -> None:
    step = scheduler.step

    def heard(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        taken = {name: value for name, value in kwargs.items() if name in signature.parameters}
        return advance(step, model_output, timestep, sample, *args, **taken)

    # Pipelines look at the signature to see what else a step takes; some hand it in all the same.
    signature = inspect.signature(step)
    heard.__signature__ = signature  # type: ignore[attr-defined]
    scheduler.step = heard
