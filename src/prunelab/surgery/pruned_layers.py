"""What stands in the place of modules that a pruned model lost. Imports nothing of prunelab.

This file travels with ``pruned_model.py``, whose first lines say when each of these comes.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .pruned_structure import Kept

LAYERS = "pruned_layers"  # this file's name beside a model's weights


class Skip(nn.Module):
    """Stands where a module was removed; returns its input, or zeros.

    returns: how many values the removed module returned as a tuple, 0 for a bare tensor. width: of what it
        returned, None where that was its input's. streams: the argument that each returned value follows,
        None for a value that is none; where nothing is said, the first value follows the first argument.
    """

    def __init__(
        self,
        becomes: str,
        returns: int = 0,
        width: int | None = None,
        streams: Sequence[str | None] = (),
    ) -> None:
        super().__init__()
        self.becomes, self.returns, self.width, self.streams = becomes, returns, width, tuple(streams)
        self.parameter_names: tuple[str, ...] = ()

    def called_like(self, module: nn.Module) -> "Skip":
        """Take arguments by position in the order in which ``module`` does."""
        self.parameter_names = parameter_names(module)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What flows instead, in the form that the removed module's caller expects."""
        if not self.streams:
            value = args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values())))
            instead = self.instead(value)
            return (instead, *[None] * (self.returns - 1)) if self.returns else instead
        given = {**dict(zip(self.parameter_names, args, strict=False)), **kwargs}
        made = [
            None if name is None else self.instead(given[name], number)
            for number, name in enumerate(self.streams)
        ]
        return (*made, *[None] * (self.returns - len(made))) if self.returns else made[0]

    def instead(self, hidden_states: Tensor, stream: int = 0) -> Tensor:
        """The input itself, or nothing."""
        return hidden_states if self.becomes == "input" else self.everywhere(hidden_states)

    def everywhere(self, hidden_states: Tensor, value: Tensor | None = None) -> Tensor:
        """``value``, one number per channel, at every place of the input; zeros where there is none."""
        pictures = hidden_states.ndim >= 4  # channels come before frames, height and width
        if value is None and self.width is None:
            return torch.zeros_like(hidden_states)
        width = self.width if self.width is not None else hidden_states.shape[1 if pictures else -1]
        value = hidden_states.new_zeros(width) if value is None else value
        if pictures:
            places = hidden_states.shape[2:]
            return value.reshape(-1, *[1] * len(places)).expand(len(hidden_states), -1, *places)
        return value.expand(*hidden_states.shape[:-1], -1)


def parameter_names(module: nn.Module) -> tuple[str, ...]:
    """The names of the arguments that ``module`` may be given by position."""
    if isinstance(module, Skip):
        return module.parameter_names
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    asked = inspect.signature(module.forward).parameters.values()
    return tuple(each.name for each in asked if each.kind in kinds)


class Shortcut(Skip):
    """Stands where a ResNet block was removed; its 1x1 convolution still changes the channels."""

    def __init__(self, conv_shortcut: nn.Module) -> None:
        super().__init__("shortcut")
        self.conv_shortcut = conv_shortcut

    def instead(self, hidden_states: Tensor, stream: int = 0) -> Tensor:
        """The input through the shortcut."""
        changed: Tensor = self.conv_shortcut(hidden_states)
        return changed


class Bypass(Skip):
    """Stands where a convolution was removed that changed the shape: pooling, then a 1x1 convolution.

    The output has the size that ``convolution``, an ``nn.Conv2d``, would have given.
    """

    def __init__(self, convolution: Any) -> None:
        super().__init__("bypass")
        reach = zip(convolution.dilation, convolution.kernel_size, strict=True)
        self.span = [dilation * (kernel - 1) + 1 for dilation, kernel in reach]
        self.stride, self.padding = convolution.stride, convolution.padding
        weight = convolution.weight
        self.projection = nn.Conv2d(
            convolution.in_channels, convolution.out_channels, 1, device=weight.device, dtype=weight.dtype
        )

    def pooled(self, hidden_states: Tensor) -> Tensor:
        """The input averaged down to the output's height and width."""
        sides = zip(hidden_states.shape[-2:], self.padding, self.span, self.stride, strict=True)
        wanted = [(side + 2 * padding - span) // stride + 1 for side, padding, span, stride in sides]
        size = (wanted[0], wanted[1])
        same = hidden_states.shape[-2:] == size
        return hidden_states if same else nn.functional.adaptive_avg_pool2d(hidden_states, size)

    def instead(self, hidden_states: Tensor, stream: int = 0) -> Tensor:
        """The cheapest operator that restores the shape."""
        restored: Tensor = self.projection(self.pooled(hidden_states))
        return restored


class Bias(Skip):
    """Stands where an attention lost all its heads; what is left is its last projection's bias.

    The bias keeps the name it had in ``attention``: ``biases`` are the paths of the projections, one for each
    stream that the attention reads and returns, None for a stream without one. Where ``streams`` is silent,
    two of them are ``hidden_states`` and ``encoder_hidden_states``.
    """

    def __init__(
        self,
        attention: nn.Module,
        biases: Sequence[str | None],
        returns: int = 0,
        width: int | None = None,
        residual: bool = False,
        rescale: float = 1,
        streams: Sequence[str | None] = (),
    ) -> None:
        both = ("hidden_states", "encoder_hidden_states")[: len(biases)] if len(biases) > 1 else ()
        super().__init__("bias", returns, width, streams or both)
        if both and not streams:
            self.returns = 2
        self.biases, self.residual, self.rescale = tuple(biases), residual, rescale
        for path in dict.fromkeys(self.biases):
            if path is not None:
                self._keep(path, attention.get_submodule(path))

    def _keep(self, path: str, projection: Any) -> None:
        place: nn.Module = self
        *outer, last = path.split(".")
        for name in outer:
            if name not in dict(place.named_children()):
                place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, Kept(projection.bias))

    def _bias(self, path: str | None) -> Any:
        return None if path is None else self.get_submodule(path).bias

    def instead(self, hidden_states: Tensor, stream: int = 0) -> Tensor:
        """The bias, and the input where the attention added it."""
        path = self.biases[stream] if stream < len(self.biases) else None
        made = self.everywhere(hidden_states, self._bias(path))
        made = made + hidden_states if self.residual else made
        return made if self.rescale == 1 else made / self.rescale


class Scattered(nn.Linear):
    """Stands where a Linear lost rows and what follows relies on its width: zeros where they were.

    ``out_features`` is what it returns, as of any Linear; its weight has fewer rows.
    """

    def __init__(self, linear: Any, kept: int) -> None:
        like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        super().__init__(linear.in_features, kept, linear.bias is not None, **like)
        self.out_features: int = linear.out_features  # some of it may be zeros already
        self.places: Tensor
        self.register_buffer("places", torch.zeros(kept, dtype=torch.long, device=linear.weight.device))

    def reset_parameters(self) -> None:
        """As any Linear, unless no rows are left."""
        if len(self.weight):
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 as the base names it
        """The outputs in their old places."""
        values = super().forward(input)
        return values.new_zeros(*values.shape[:-1], self.out_features).index_copy(-1, self.places, values)


def replacement(module: Any, entry: Mapping[str, Any]) -> nn.Module:
    """What stands in the place of ``module``; ``entry`` is what the structure says of it."""
    said = {key: value for key, value in entry.items() if key != "becomes"}
    match entry["becomes"]:
        case "scattered":
            return Scattered(module, said["out_features"])
        case "bias":
            return Bias(module, **said).called_like(module)
        case "shortcut":
            return Shortcut(module.conv_shortcut).called_like(module)
        case "bypass":
            return Bypass(module).called_like(module)
    return Skip(entry["becomes"], **said).called_like(module)
