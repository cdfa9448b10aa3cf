"""Rebuild a pruned diffusers model from its config. Imports nothing of prunelab.

This file, ``pruned_structure.py``, which says what a structure may be, and ``pruned_layers.py``, what comes
in the place of modules, travel with every pruned model that prunelab saves, so that plain diffusers can open
it. The config's ``structure`` says in steps, one for each time the model was pruned, what differs from the
dense model that the rest of the config describes::

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
  one for each stream (None for one without), ``residual`` that the attention adds its input, ``rescale`` what
  it divides by;
- ``scattered``: a Linear of ``out_features`` rows, whose outputs go to their old ``places`` among zeros.

``returns`` is how many values the module returned as a tuple, ``streams`` the argument that each of them
follows (the first follows the first where nothing is said), ``width`` that of its output where it is not the
input's.
"""

import inspect
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ModelMixin  # diffusers looks here for the bases of a component handed to it
from torch import nn
from transformers import PreTrainedModel

from .pruned_layers import LAYERS, replacement
from .pruned_structure import STRUCTURE, check_fit, check_form, resize

MODULE = "pruned_model"  # this file's name beside a model's weights
PRUNED = "Pruned"  # and then the class's name


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


@torch.no_grad()
def narrow_again(model: nn.Module, structure: Mapping[str, Any]) -> str | None:
    """Take back what a loader of adapters widened to make room for one; what it was, None where nothing.

    Diffusers widens layers of Flux, with zeros behind the weights that there were: so it adds channels to
    what the model reads, and so a layer that was pruned would no longer fit what comes in.
    """
    widened, modules = None, dict(model.named_modules())
    steps = (step.items() for step in structure["steps"])
    reads = {path: entry["in_features"] for step in steps for path, entry in step if "in_features" in entry}
    for path, width in reads.items():
        module = modules.get(path)  # none where what holds it went later
        module = getattr(module, "base_layer", module)  # under an adapter
        if isinstance(module, nn.Linear) and module.in_features > width:
            widened = widened or f"{path} reads {width} features, not {module.in_features}"
            module.in_features = width
            module.weight.data = module.weight.data[:, :width].clone()
    return widened


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

    def load_lora_adapter(self: Any, *args: Any, **kwargs: Any) -> Any:
        """As the base does; one of the dense model is refused (ValueError) and changes nothing."""
        widened = narrow_again(self, self.config["structure"])
        if widened:
            raise ValueError(f"the adapter is one of another model: {widened}, since it was pruned")
        return base.load_lora_adapter(self, *args, **kwargs)

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
    if hasattr(base, "load_lora_adapter"):
        body["load_lora_adapter"] = load_lora_adapter
    return type(f"{PRUNED}{base.__name__}", (base,), body)


def carry_code(folder: Path) -> None:
    """Copy this file and its neighbours into ``folder``."""
    here = Path(__file__)
    sources = {MODULE: here, **{name: here.with_name(f"{name}.py") for name in (STRUCTURE, LAYERS)}}
    for name, source in sources.items():
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
