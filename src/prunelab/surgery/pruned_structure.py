"""What a pruned model's ``structure`` may say, and how layers follow it. Imports nothing of prunelab.

This file travels with ``pruned_model.py``, whose first lines show a structure. It is checked before it
changes a model: whoever opens a folder from elsewhere, with prunelab or without, gets one line (a
ValueError) about the first thing that cannot be meant, and no attribute is set and no layer made that
surgery would not have.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import nn

VERSION = 2
STRUCTURE = "pruned_structure"  # this file's name beside a model's weights


class Kept(nn.Module):
    """The bias that is left of a projection, under its name; ``bias`` is None where there was none."""

    def __init__(self, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.out_features = 0 if bias is None else len(bias)
        self.register_parameter("bias", bias)


# The widths of a layer. A Linear may be left without any; nothing else can be.
WIDTHS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("in_features", "out_features"),
    nn.Conv2d: ("in_channels", "out_channels"),
    nn.GroupNorm: ("num_channels", "num_groups"),
    nn.LayerNorm: ("normalized_shape",),
    Kept: ("out_features",),
}
# What other modules count in attributes of their own.
COUNTS = (
    "heads", "num_heads", "num_attention_heads", "kv_heads", "num_kv_heads", "num_key_value_heads",
    "inner_dim", "inner_kv_dim", "channels", "out_channels",
)  # fmt: skip
# What a module may become, and what may then be said besides.
FATES: dict[str, tuple[str, ...]] = {
    "input": ("returns",),
    "nothing": ("returns", "width"),
    "shortcut": (),
    "bypass": (),
    "bias": ("returns", "width", "biases", "residual", "rescale"),
    "scattered": ("out_features",),
}
# An attention counts its heads in one of these, and makes them by the projections that it has of these.
HEADS = ("heads", "num_heads")
PROJECTIONS = (
    "to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "q_proj", "k_proj", "v_proj",
)  # fmt: skip


def check_form(structure: Any, base: str) -> None:
    """Refuse what is no structure of this version, or one of another class than ``base``."""
    if not isinstance(structure, Mapping):
        _refuse("is no mapping", structure)
    version = structure.get("version")
    if type(version) is not int or version != VERSION:
        raise ValueError(
            f"the structure has version {_short(version)} and this file reads {VERSION}: open it with the "
            "version of prunelab that wrote it"
        )
    if set(structure) != {"version", "base", "steps"}:
        _refuse("has other keys than version, base and steps", sorted(map(str, structure)))
    if structure["base"] != base:
        _refuse(f"is of another class than {base}", structure["base"])
    if not isinstance(structure["steps"], list | tuple):
        _refuse("has steps that are no list", structure["steps"])
    for step in structure["steps"]:
        if not isinstance(step, Mapping):
            _refuse("has a step that is no mapping", step)
        for path, entry in step.items():
            if not isinstance(entry, Mapping):
                _refuse(f"has an entry at {_short(path)} that is no mapping", entry)


def check_fit(model: nn.Module, entries: Mapping[str, Any]) -> None:
    """Refuse a step, right in form, that does not describe a smaller ``model``."""
    # By the names under which modules are registered: no other attribute can be reached.
    known = {path: module for path, module in model.named_modules(remove_duplicate=False) if path}
    gone = [path for path, entry in entries.items() if "becomes" in entry]
    for path, entry in entries.items():
        if path not in known:
            _refuse(f"names a module that {type(model).__name__} does not have", path)
        if any(path.startswith(f"{other}.") for other in gone):
            _refuse("changes a module inside of one that becomes something else", path)
        check = _check_fate if "becomes" in entry else _check_widths
        check(path, known[path], entry)
    for path, module in known.items():
        if path in gone:
            continue
        if path in entries:
            _check_groups(path, module, entries[path])
        if any(f"{name}.".startswith(f"{path}.") for name in entries):
            _check_heads(path, module, entries)


def _check_fate(path: str, module: nn.Module, entry: Mapping[str, Any]) -> None:
    """Whether what ``module`` becomes can stand in its place."""
    becomes = entry["becomes"]
    if not isinstance(becomes, str) or becomes not in FATES:
        _refuse(f"asks for what this file does not know to come in the place of {path}", becomes)
    for key, value in entry.items():
        if key not in ("becomes", *FATES[becomes]):
            _refuse(f"says more of {path} than that it becomes {becomes!r}", key)
        if key in SAID and not SAID[key](module, value):
            _refuse(f"says of {path} what cannot be its {key}", value)
    fits = {
        "shortcut": isinstance(getattr(module, "conv_shortcut", None), nn.Module),
        "bypass": isinstance(module, nn.Conv2d) and not isinstance(module.padding, str),
        "bias": "biases" in entry,
        "scattered": isinstance(module, nn.Linear) and "out_features" in entry,
    }
    if not fits.get(becomes, True):
        _refuse(f"cannot make a {type(module).__name__}, as {path} is, into", becomes)
    if becomes == "scattered":
        _check_count(path, module, "out_features", entry["out_features"])


def _made(module: nn.Module) -> dict[str, int]:
    """The widths of the Linear layers inside of ``module``, by path."""
    return {
        path: layer.out_features
        for path, layer in module.named_modules()
        if path and isinstance(layer, nn.Linear)
    }


# What may be said of a module that becomes something else.
SAID: dict[str, Callable[[nn.Module, Any], bool]] = {
    "returns": lambda module, value: type(value) is int and value in (1, 2),
    "width": lambda module, value: type(value) is int and value in (0, *_made(module).values()),
    "biases": lambda module, value: (
        isinstance(value, list | tuple)
        and 1 <= len(value) <= 2
        and all(isinstance(path, str) and path in _made(module) for path in value)
        and len(set(value)) == len(value)
    ),
    "residual": lambda module, value: value is True,
    "rescale": lambda module, value: type(value) in (int, float) and math.isfinite(value) and value > 0,
}


def _check_widths(path: str, module: nn.Module, entry: Mapping[str, Any]) -> None:
    """Whether attributes are such as count something, and count no more than before."""
    for name, value in entry.items():
        if name not in _attributes(module):
            _refuse(f"sets what is no width of a {type(module).__name__}, as {path} is", name)
        _check_count(path, module, name, value)


def _attributes(module: nn.Module) -> tuple[str, ...]:
    for kind, names in WIDTHS.items():
        if isinstance(module, kind):
            return names
    return tuple(name for name in COUNTS if type(vars(module).get(name)) is int)


def _check_count(path: str, module: nn.Module, name: str, value: Any) -> None:
    dense, least = _dense(module, name), 0 if isinstance(module, nn.Linear) else 1
    if type(value) is not int or not least <= value <= dense:
        _refuse(f"needs a whole number from {least} to {dense} for {name} of {path}, not", value)


def _dense(module: nn.Module, name: str) -> int:
    """The value an attribute has before anything is removed."""
    value = vars(module)[name]
    return int(value[-1] if name == "normalized_shape" else value)


def _check_groups(path: str, module: nn.Module, entry: Mapping[str, Any]) -> None:
    """Whether a norm's or a convolution's groups stay equally wide."""
    match module:
        case nn.GroupNorm():
            count, widths = entry.get("num_groups", module.num_groups), WIDTHS[nn.GroupNorm][:1]
        case nn.Conv2d():
            count, widths = module.groups, WIDTHS[nn.Conv2d]
        case _:
            return
    for name in widths:
        if entry.get(name, _dense(module, name)) % count:
            _refuse(f"leaves a {name} of {path} that {count} groups do not divide", entry.get(name))


def _check_heads(path: str, module: nn.Module, entries: Mapping[str, Any]) -> None:
    """Whether the heads of an attention stay equally wide, and its projections make them all."""
    linears = {name: getattr(module, name, None) for name in PROJECTIONS}
    dense = {name: linear.out_features for name, linear in linears.items() if isinstance(linear, nn.Linear)}
    counter = next((name for name in HEADS if type(vars(module).get(name)) is int), None)
    if counter is None or not dense:
        return
    heads = entries.get(path, {}).get(counter, _dense(module, counter))
    queries = next(iter(dense.values()))
    left = set()
    for name in (
        name for name in dense if dense[name] == queries
    ):  # fewer heads of keys have widths of their own
        entry = entries.get(f"{path}.{name}", {})
        left.add(queries if "becomes" in entry else entry.get("out_features", queries))
    if "inner_dim" in vars(module):
        left.add(entries.get(path, {}).get("inner_dim", _dense(module, "inner_dim")))
    if len(left) > 1 or any(width % heads or width < heads for width in left):
        _refuse(f"leaves {path} {heads} heads and projections of unequal or other widths", sorted(left))


def resize(module: nn.Module, attributes: Mapping[str, int]) -> None:
    """Set attributes; a layer with weights then gets parameters of its new shape, on its own device."""
    for name, value in attributes.items():
        setattr(module, name, (value,) if name == "normalized_shape" else value)
    match module:
        case nn.Linear():
            shape: tuple[int, ...] = (module.out_features, module.in_features)
        case nn.Conv2d():
            shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        case nn.GroupNorm():
            shape = (module.num_channels,)
        case nn.LayerNorm():
            shape = tuple(module.normalized_shape)
        case Kept():
            shape = (module.out_features,)
        case _:
            return
    for name, old in list(module.named_parameters(recurse=False)):
        size = shape if name == "weight" else shape[:1]
        empty = torch.empty(size, dtype=old.dtype, device=old.device)
        setattr(module, name, nn.Parameter(empty, requires_grad=old.requires_grad))
    places = dict(module.named_buffers(recurse=False)).get("places")
    if places is not None:  # of a Linear that is scattered
        module.register_buffer("places", places[: shape[0]])


def _refuse(what: str, value: Any) -> NoReturn:
    raise ValueError(f"the structure {what}: {_short(value)}")


def _short(value: Any) -> str:
    """A value on one line, however long it is."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
