"""What a pruned model's ``structure`` may say, and how layers follow it. Imports nothing of prunelab.

This file travels with ``pruned_model.py``, whose first lines show a structure. It is checked before it
changes a model: whoever opens a folder from elsewhere, with prunelab or without, gets one line (a
ValueError) about the first thing that cannot be meant, and no attribute is set and no layer made that
surgery would not have.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import nn

VERSION = 1
STRUCTURE = "pruned_structure"  # this file's name beside a model's weights

# The widths of a layer. A Linear may be left without any; nothing else can be.
WIDTHS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("in_features", "out_features"),
    nn.Conv2d: ("in_channels", "out_channels"),
    nn.GroupNorm: ("num_channels", "num_groups"),
    nn.LayerNorm: ("normalized_shape",),
}
# What other modules count in attributes of their own.
COUNTS = (
    "heads", "num_heads", "num_attention_heads", "kv_heads", "num_kv_heads", "num_key_value_heads",
    "inner_dim", "inner_kv_dim", "channels", "out_channels",
)  # fmt: skip
# What a module may become, and what may then be said besides.
FATES: dict[str, tuple[str, ...]] = {
    "input": (),
    "nothing": (),
    "shortcut": (),
    "bypass": (),
    "bias": ("rescaled",),
    "scattered": ("out_features",),
}
# Attentions -> the projections that make their heads, how many these are, and how wide together.
ATTENTIONS = {
    "Attention": (("to_q", "to_k", "to_v"), "heads", "inner_dim"),
    "FluxAttention": (
        ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"),
        "heads",
        "inner_dim",
    ),
    "CLIPAttention": (("q_proj", "k_proj", "v_proj"), "num_heads", ""),
}


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
    if set(structure) != {"version", "base", "modules"}:
        _refuse("has other keys than version, base and modules", sorted(map(str, structure)))
    if structure["base"] != base:
        _refuse(f"is of another class than {base}", structure["base"])
    if not isinstance(structure["modules"], Mapping):
        _refuse("has modules that are no mapping", structure["modules"])
    for path, entry in structure["modules"].items():
        if not isinstance(entry, Mapping):
            _refuse(f"has an entry at {_short(path)} that is no mapping", entry)


def check_fit(model: nn.Module, structure: Mapping[str, Any]) -> None:
    """Refuse a structure, right in form, that does not describe a smaller ``model``."""
    # By the names under which modules are registered: no other attribute can be reached.
    known = {path: module for path, module in model.named_modules(remove_duplicate=False) if path}
    entries = structure["modules"]
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
        if type(module).__name__ in ATTENTIONS and any(f"{name}.".startswith(f"{path}.") for name in entries):
            _check_heads(path, module, entries)


def _check_fate(path: str, module: nn.Module, entry: Mapping[str, Any]) -> None:
    """Whether what ``module`` becomes can stand in its place."""
    becomes = entry["becomes"]
    if not isinstance(becomes, str) or becomes not in FATES:
        _refuse(f"asks for what this file does not know to come in the place of {path}", becomes)
    for key, value in entry.items():
        if key not in ("becomes", *FATES[becomes]):
            _refuse(f"says more of {path} than that it becomes {becomes!r}", key)
        if key == "rescaled" and value is not True:
            _refuse(f"has a flag at {path} that is not true", value)
    fits = {
        "shortcut": isinstance(getattr(module, "conv_shortcut", None), nn.Module),
        "bypass": isinstance(module, nn.Conv2d) and not isinstance(module.padding, str),
        "bias": type(module).__name__ in ATTENTIONS,
        "scattered": isinstance(module, nn.Linear) and "out_features" in entry,
    }
    if not fits.get(becomes, True):
        _refuse(f"cannot make a {type(module).__name__}, as {path} is, into", becomes)
    if becomes == "scattered":
        _check_count(path, module, "out_features", entry["out_features"])


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
    """Whether an attention's heads stay equally wide, and its projections make them all."""
    projections, counter, inner = ATTENTIONS[type(module).__name__]
    heads = entries.get(path, {}).get(counter, _dense(module, counter))
    linears = {name: getattr(module, name, None) for name in projections}
    dense = {name: linear.out_features for name, linear in linears.items() if isinstance(linear, nn.Linear)}
    queries = dense.get(projections[0], 0)
    left = set()
    for name in (
        name for name in dense if dense[name] == queries
    ):  # fewer heads of keys have widths of their own
        entry = entries.get(f"{path}.{name}", {})
        left.add(queries if "becomes" in entry else entry.get("out_features", queries))
    if inner:
        left.add(entries.get(path, {}).get(inner, _dense(module, inner)))
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
        case _:
            return
    for name, old in list(module.named_parameters(recurse=False)):
        size = shape if name == "weight" else shape[:1]
        empty = torch.empty(size, dtype=old.dtype, device=old.device)
        setattr(module, name, nn.Parameter(empty, requires_grad=old.requires_grad))


def _refuse(what: str, value: Any) -> NoReturn:
    raise ValueError(f"the structure {what}: {_short(value)}")


def _short(value: Any) -> str:
    """A value on one line, however long it is."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
