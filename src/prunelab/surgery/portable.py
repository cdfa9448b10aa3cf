"""Rebuild a pruned diffusers model from its config. Imports nothing of prunelab.

This file and ``pruned_structure.py``, which says what a structure may be, travel with every pruned model that
prunelab saves, so that plain diffusers can open it.
The config's ``structure`` says in steps, one for each time the model was pruned, what differs from the dense
model that the rest of the config describes::

    {"version": 2, "base": "UNet2DConditionModel", "steps": [
        {"down_blocks.0.attentions.0.transformer_blocks.0.attn1": {"heads": 3, "inner_dim": 24},
         "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": {"out_features": 24}},
        {"down_blocks.0.resnets.1": {"becomes": "input"}}]}

A module either changes attributes (and is resized when it is a Linear, a convolution or a norm), or
``becomes`` what flows instead of it:

- its ``input``, or ``nothing``;
- its ``shortcut``, a 1x1 convolution that stays;
- a ``bypass``, a 1x1 convolution after pooling, in the place of a convolution that changes the shape;
- the ``bias`` of its last projection, where an attention has no heads left. ``biases`` says where it lies,
  one for each stream, ``residual`` that the attention adds its input, ``rescale`` what it divides by;
- ``scattered``: a Linear of ``out_features`` rows, whose outputs go to their old ``places`` among zeros.

``returns`` is how many values the module returned as a tuple, ``width`` that of its output where it is not
the input's.
"""

import inspect
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ModelMixin  # diffusers looks here for the bases of a component handed to it
from torch import Tensor, nn
from transformers import PreTrainedModel

from .pruned_structure import STRUCTURE, Kept, check_fit, check_form, resize

MODULE = "pruned_model"  # this file's name beside a model's weights
PRUNED = "Pruned"  # and then the class's name


class Skip(nn.Module):
    """Stands where a module was removed; returns its input, or zeros.

    returns: how many values the removed module returned as a tuple, 0 for a bare tensor. width: of what it
        returned, None where that was its input's.
    """

    def __init__(self, becomes: str, returns: int = 0, width: int | None = None) -> None:
        super().__init__()
        self.becomes, self.returns, self.width = becomes, returns, width

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What flows instead, in the form that the removed module's caller expects."""
        instead = self.instead(hidden_states)
        return (instead, None)[: self.returns] if self.returns else instead

    def instead(self, hidden_states: Tensor) -> Tensor:
        """The input itself, or nothing."""
        return hidden_states if self.becomes == "input" else self.everywhere(hidden_states)

    def everywhere(self, hidden_states: Tensor, value: Tensor | None = None) -> Tensor:
        """``value``, one number per channel, at every place of the input; zeros where there is none."""
        pictures = hidden_states.ndim == 4  # channels come before height and width
        width = self.width if self.width is not None else hidden_states.shape[1 if pictures else -1]
        value = hidden_states.new_zeros(width) if value is None else value
        if pictures:
            return value[:, None, None].expand(len(hidden_states), -1, *hidden_states.shape[2:])
        return value.expand(*hidden_states.shape[:-1], -1)


class Shortcut(Skip):
    """Stands where a ResNet block was removed; its 1x1 convolution still changes the channels."""

    def __init__(self, conv_shortcut: nn.Module) -> None:
        super().__init__("shortcut")
        self.conv_shortcut = conv_shortcut

    def instead(self, hidden_states: Tensor) -> Tensor:
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

    def instead(self, hidden_states: Tensor) -> Tensor:
        """The cheapest operator that restores the shape."""
        restored: Tensor = self.projection(self.pooled(hidden_states))
        return restored


class Bias(Skip):
    """Stands where an attention lost all its heads; what is left is its last projection's bias.

    The bias keeps the name it had in ``attention``: ``biases`` are the paths of the projections, one for each
    stream that the attention reads and returns.
    """

    def __init__(
        self,
        attention: nn.Module,
        biases: Sequence[str],
        returns: int = 0,
        width: int | None = None,
        residual: bool = False,
        rescale: float = 1,
    ) -> None:
        super().__init__("bias", returns, width)
        self.biases, self.residual, self.rescale = tuple(biases), residual, rescale
        for path in self.biases:
            self._keep(path, attention.get_submodule(path))

    def _keep(self, path: str, projection: Any) -> None:
        place: nn.Module = self
        *outer, last = path.split(".")
        for name in outer:
            if name not in dict(place.named_children()):
                place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, Kept(projection.bias))

    def _bias(self, path: str) -> Any:
        return self.get_submodule(path).bias

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Any = None, **kwargs: Any) -> Any:
        """As for any; of several streams, what flows instead of each."""
        if len(self.biases) == 1:
            return super().forward(hidden_states)
        streams = zip((hidden_states, encoder_hidden_states), self.biases, strict=True)
        return tuple(self.everywhere(stream, self._bias(path)) for stream, path in streams)

    def instead(self, hidden_states: Tensor) -> Tensor:
        """The bias, and the input where the attention added it."""
        made = self.everywhere(hidden_states, self._bias(self.biases[0]))
        made = made + hidden_states if self.residual else made
        return made if self.rescale == 1 else made / self.rescale


class Scattered(nn.Linear):
    """Stands where a Linear lost rows and what follows relies on its width: zeros where they were."""

    def __init__(self, linear: Any, kept: int) -> None:
        like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        super().__init__(linear.in_features, kept, linear.bias is not None, **like)
        self.width: int = getattr(linear, "width", linear.out_features)  # some of it may be zeros already
        self.places: Tensor
        self.register_buffer("places", torch.zeros(kept, dtype=torch.long, device=linear.weight.device))

    def reset_parameters(self) -> None:
        """As any Linear, unless no rows are left."""
        if self.out_features:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 as the base names it
        """The outputs in their old places."""
        values = super().forward(input)
        return values.new_zeros(*values.shape[:-1], self.width).index_copy(-1, self.places, values)


def replacement(module: Any, entry: Mapping[str, Any]) -> nn.Module:
    """What stands in the place of ``module``; ``entry`` is what the structure says of it."""
    said = {key: value for key, value in entry.items() if key != "becomes"}
    match entry["becomes"]:
        case "scattered":
            return Scattered(module, said["out_features"])
        case "bias":
            return Bias(module, **said)
        case "shortcut":
            return Shortcut(module.conv_shortcut)
        case "bypass":
            return Bypass(module)
    return Skip(entry["becomes"], **said)


def apply_structure(model: nn.Module, structure: Mapping[str, Any]) -> nn.Module:
    """Change the dense ``model`` in place into the shape ``structure`` describes; weights come later.

    Raises ValueError, in one line, for what :mod:`pruned_structure` refuses.
    """
    for step in structure["steps"]:
        apply_step(model, step)
    return model


def apply_step(model: nn.Module, step: Mapping[str, Mapping[str, Any]]) -> None:
    """Prune the shape of ``model`` once; nothing is changed by a step that is refused (ValueError)."""
    check_fit(model, step)
    for path, entry in step.items():
        if "becomes" in entry:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, replacement(model.get_submodule(path), entry))
        else:
            resize(model.get_submodule(path), entry)


def note(model: Any, structure: Mapping[str, Any]) -> None:
    """Write into the config of ``model`` how it was pruned, where it has one that is saved with it."""
    if hasattr(model, "register_to_config"):
        model.register_to_config(structure=structure)
    elif hasattr(model, "config"):  # transformers' configs hold it
        model.config.structure = structure


@torch.no_grad()
def settled(model: Any) -> Any:
    """``model`` with its weights in memory of their own.

    As they are read they lie in the file, wherever in a page, and where a tensor starts decides which kernel
    runs: results would differ in the last bits from those of the model that was saved.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # one by one: never the whole model twice
    return model


def pruned_class(base: Any) -> Any:
    """The subclass of a diffusers or transformers model class that follows ``structure`` when it is built."""

    def build(self: Any, *args: Any, structure: Any = None, **kwargs: Any) -> None:
        if structure is None:  # transformers' configs hold it
            structure = getattr(args[0] if args else None, "structure", None)
        if structure is not None:
            check_form(structure, base.__name__)
        base.__init__(self, *args, **kwargs)
        if structure is not None:
            note(apply_structure(self, structure), structure)

    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        """As the base does, with the weights settled."""
        opened = base.from_pretrained.__func__(cls, *args, **kwargs)
        settled(opened[0] if isinstance(opened, tuple) else opened)
        return opened

    def save_pretrained(self: Any, save_directory: str, *args: Any, **kwargs: Any) -> None:
        """As the base does, with the code beside the weights: without it the folder could not be opened."""
        base.save_pretrained(self, save_directory, *args, **kwargs)
        carry_code(Path(save_directory))

    # diffusers keeps the config keys that the signature names, so it has to be the base's plus one.
    signature = inspect.signature(base.__init__)
    extra = inspect.Parameter("structure", inspect.Parameter.KEYWORD_ONLY, default=None)
    named = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    vars(build)["__signature__"] = signature.replace(parameters=[*named, extra])
    # The module name goes into model_index.json: it has to be this file's, wherever it was loaded from.
    body = {
        "__init__": build,
        "from_pretrained": classmethod(from_pretrained),
        "save_pretrained": save_pretrained,
        "__module__": MODULE,
    }
    return type(f"{PRUNED}{base.__name__}", (base,), body)


def carry_code(folder: Path) -> None:
    """Copy this file and its neighbour into ``folder``."""
    here = Path(__file__)
    for source, name in ((here, MODULE), (here.with_name(f"{STRUCTURE}.py"), STRUCTURE)):
        target = folder / f"{name}.py"
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target)


def __getattr__(name: str) -> Any:
    """``PrunedUNet2DConditionModel`` and its like, made from the library's model of that name."""
    if name.startswith(PRUNED):
        for library in (diffusers, transformers):
            base = getattr(library, name.removeprefix(PRUNED), None)
            if isinstance(base, type) and issubclass(base, ModelMixin | PreTrainedModel):
                globals()[name] = pruned_class(base)
                return globals()[name]
    raise AttributeError(name)
