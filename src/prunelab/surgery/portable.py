"""Rebuild a pruned diffusers model from its config. Imports nothing of prunelab.

This file travels with every pruned model that prunelab saves, so that plain diffusers can open it.
The config's ``structure`` says what differs from the dense model that the rest of the config describes::

    {"version": 1, "base": "UNet2DConditionModel", "modules": {
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1": {"heads": 3, "inner_dim": 24},
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": {"out_features": 24},
        "down_blocks.0.resnets.1": {"becomes": "input"}}}

A module either changes attributes (and is resized when it is a Linear, a convolution or a norm), or
``becomes`` what flows instead of it: ``input``, ``nothing``, ``shortcut`` (its 1x1 convolution stays),
``bypass`` (a 1x1 convolution after pooling, in the place of a convolution that changes the shape),
``bias`` (an attention without heads: its output projection's bias stays) or ``scattered`` (a Linear of
``out_features`` rows, whose outputs go to their old ``places`` among zeros).
"""

import inspect
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ModelMixin  # noqa: F401  diffusers looks here for the bases of a component handed to it
from torch import Tensor, nn
from transformers import PreTrainedModel  # noqa: F401

VERSION = 1
MODULE = "pruned_model"  # this file's name beside a model's weights


class Skip(nn.Module):
    """Stands where a module was removed; returns its input, or a zero that broadcasts.

    returns: how many values the removed module returned as a tuple, 0 for a bare tensor.
    """

    def __init__(self, becomes: str, returns: int) -> None:
        super().__init__()
        self.becomes, self.returns = becomes, returns

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What flows instead, in the form that the removed module's caller expects."""
        instead = self.instead(hidden_states)
        return (instead, None)[: self.returns] if self.returns else instead

    def instead(self, hidden_states: Tensor) -> Tensor:
        """The input itself, or nothing."""
        return hidden_states if self.becomes == "input" else hidden_states.new_zeros(())


class Shortcut(Skip):
    """Stands where a ResNet block was removed; its 1x1 convolution still changes the channels."""

    def __init__(self, conv_shortcut: nn.Module) -> None:
        super().__init__("shortcut", 0)
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
        super().__init__("bypass", 0)
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
    """Stands where an attention lost all its heads; what is left is its output projection's bias.

    The bias keeps the name it had (``path`` is ``to_out.0`` or ``out_proj``); residual: whether the
    attention adds its own input.
    """

    def __init__(self, path: str, bias: nn.Parameter | None, residual: bool, returns: int) -> None:
        super().__init__("bias", returns)
        self.path, self.residual = path, residual
        place: nn.Module = self
        for name in path.split("."):
            place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.register_parameter("bias", bias)

    def instead(self, hidden_states: Tensor) -> Tensor:
        """The bias, and the input where the attention added it."""
        bias = dict(self.named_parameters()).get(f"{self.path}.bias", hidden_states.new_zeros(()))
        if not self.residual:
            return bias
        channels_first = hidden_states.ndim == 4 and bias.ndim == 1
        return hidden_states + (bias[:, None, None] if channels_first else bias)


class JointBias(nn.Module):
    """Stands where an attention of two streams, or of one beside a feed-forward, lost all its heads."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.heads = 0
        for path in ("to_out.0", "to_add_out"):
            bias = dict(attention.named_parameters()).get(f"{path}.bias")
            place: nn.Module = self
            for name in path.split(".") if bias is not None else ():
                place.add_module(name, nn.Module())
                place = place.get_submodule(name)
            if bias is not None:
                place.register_parameter("bias", bias)

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Any = None, **kwargs: Any) -> Any:
        """The biases for either stream; for one stream, outputs of no width, which its projection reads."""
        if encoder_hidden_states is None:
            return hidden_states[..., :0]
        biases = dict(self.named_parameters())
        nothing = hidden_states.new_zeros(())
        return biases.get("to_out.0.bias", nothing), biases.get("to_add_out.bias", nothing)


class Scattered(nn.Linear):
    """Stands where a Linear lost rows and what follows relies on its width: zeros where they were."""

    def __init__(self, linear: Any, kept: int) -> None:
        like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        super().__init__(linear.in_features, kept, linear.bias is not None, **like)
        self.width: int = linear.out_features
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


def replacement(module: nn.Module, becomes: str, kept: int = 0) -> nn.Module:
    """What stands in the place of ``module``; ValueError for a fate this file does not know.

    kept: the rows of a Linear that stay, for ``scattered``.
    """
    if becomes == "scattered":
        return Scattered(module, kept)
    if becomes == "bias" and type(module).__name__ == "FluxAttention":
        return JointBias(module)
    if becomes == "shortcut":
        return Shortcut(module.get_submodule("conv_shortcut"))
    if becomes == "bypass":
        return Bypass(module)
    kind = type(module).__name__
    returns = {"Transformer2DModel": 1, "CLIPAttention": 2}.get(kind, 0)
    if becomes == "bias":
        path = "out_proj" if kind == "CLIPAttention" else "to_out.0"
        bias = dict(module.named_parameters()).get(f"{path}.bias")
        return Bias(path, bias, bool(getattr(module, "residual_connection", False)), returns)
    if becomes in ("input", "nothing"):
        return Skip(becomes, returns)
    raise ValueError(f"the structure asks for {becomes!r}; see the top of this file")


def resize(module: nn.Module, attributes: Mapping[str, int]) -> None:
    """Set attributes; a layer with weights then gets parameters of its new shape, on its own device."""
    for name, value in attributes.items():
        if not hasattr(module, name):
            raise ValueError(
                f"{type(module).__name__} has no attribute {name!r}: the structure is of another kind"
            )
        setattr(module, name, (value,) if name == "normalized_shape" else value)
    shape: tuple[int, ...]
    if isinstance(module, nn.Linear):
        shape = (module.out_features, module.in_features)
    elif isinstance(module, nn.Conv2d):
        shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
    elif isinstance(module, nn.GroupNorm):
        shape = (module.num_channels,)
    elif isinstance(module, nn.LayerNorm):
        shape = tuple(module.normalized_shape)
    else:
        return
    for name, old in list(module.named_parameters(recurse=False)):
        size = shape if name == "weight" else shape[:1]
        empty = torch.empty(size, dtype=old.dtype, device=old.device)
        setattr(module, name, nn.Parameter(empty, requires_grad=old.requires_grad))


def apply_structure(model: nn.Module, structure: Mapping[str, Any]) -> nn.Module:
    """Change the dense ``model`` in place into the shape ``structure`` describes; weights come later."""
    if structure.get("version") != VERSION:
        raise ValueError(f"structure version {structure.get('version')!r}: this file reads version {VERSION}")
    for path, entry in structure["modules"].items():
        if "becomes" in entry:
            parent, _, name = path.rpartition(".")
            kept = entry.get("out_features", 0)
            instead = replacement(model.get_submodule(path), entry["becomes"], kept)
            setattr(model.get_submodule(parent), name, instead)
        else:
            resize(model.get_submodule(path), entry)
    return model


def pruned_class(base: Any) -> Any:
    """The subclass of a diffusers or transformers model class that follows ``structure`` when it is built."""

    def build(self: Any, *args: Any, structure: Any = None, **kwargs: Any) -> None:
        base.__init__(self, *args, **kwargs)
        structure = structure or getattr(self.config, "structure", None)  # transformers' configs hold it
        if structure:
            apply_structure(self, structure)
            if hasattr(self, "register_to_config"):
                self.register_to_config(structure=structure)

    def save_pretrained(self: Any, save_directory: str, *args: Any, **kwargs: Any) -> None:
        """As the base does, with this file beside the weights: without it the folder could not be opened."""
        base.save_pretrained(self, save_directory, *args, **kwargs)
        target = Path(save_directory) / f"{MODULE}.py"
        if Path(__file__).resolve() != target.resolve():
            shutil.copyfile(__file__, target)

    # diffusers keeps the config keys that the signature names, so it has to be the base's plus one.
    signature = inspect.signature(base.__init__)
    extra = inspect.Parameter("structure", inspect.Parameter.KEYWORD_ONLY, default=None)
    named = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    vars(build)["__signature__"] = signature.replace(parameters=[*named, extra])
    # The module name goes into model_index.json: it has to be this file's, wherever it was loaded from.
    body = {"__init__": build, "save_pretrained": save_pretrained, "__module__": MODULE}
    return type(f"Pruned{base.__name__}", (base,), body)


def __getattr__(name: str) -> Any:
    """``PrunedUNet2DConditionModel`` and its like, made from the library class of that name."""
    if name.startswith("Pruned"):
        base = name.removeprefix("Pruned")
        for library in (diffusers, transformers):
            if hasattr(library, base):
                globals()[name] = pruned_class(getattr(library, base))
                return globals()[name]
    raise AttributeError(name)
