"""What a pruned model's ``structure`` may say, and how layers follow it. Imports nothing of prunelab.

This file travels with ``pruned_model.py``, whose first lines show a structure. It is checked before it
changes a model: whoever opens a folder from elsewhere, with prunelab or without, gets one line (a
ValueError) about the first thing that cannot be meant, and no attribute is set and no layer made that
surgery would not have.
"""

import inspect
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


# The widths of a layer, those of its weight's dimensions first. A Linear may be left without any; nothing
# else can be.
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WIDTHS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("out_features", "in_features"),
    **dict.fromkeys(CONVOLUTIONS, ("out_channels", "in_channels", "groups")),
    nn.GroupNorm: ("num_channels", "num_groups"),
    nn.LayerNorm: ("normalized_shape",),
    nn.RMSNorm: ("normalized_shape",),
    nn.Embedding: ("num_embeddings", "embedding_dim"),
    Kept: ("out_features",),
}
WEIGHTS = "weights"  # the width of a norm that keeps no attribute for it: how many weights it has
# What other modules count in attributes of their own: heads, heads of keys and values, and widths.
HEADS = ("heads", "num_heads", "num_attention_heads", "n_heads", "n_local_heads")
KEY_HEADS = ("kv_heads", "num_kv_heads", "num_key_value_heads", "n_kv_heads", "n_local_kv_heads")
SHARING = ("num_key_value_groups", "n_rep")  # heads of queries for each head of keys
HEAD = "dim_per_head"  # the channels of one head
INNER = ("inner_dim", "inner_kv_dim", "kv_inner_dim", "mlp_hidden_dim")
COUNTS = (*HEADS, *KEY_HEADS, *SHARING, *INNER, HEAD, "channels", "out_channels")
# What a module may become, and what may then be said besides.
FATES: dict[str, tuple[str, ...]] = {
    "input": ("returns", "streams"),
    "nothing": ("returns", "width", "streams"),
    "shortcut": (),
    "bypass": (),
    "bias": ("returns", "width", "biases", "residual", "rescale", "streams"),
    "scattered": ("out_features",),
}
MOST = 16  # values that a module may return
# An attention makes its heads by the projections that it has of these.
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
        "bias": "biases" in entry and _by_stream(entry),
        "scattered": isinstance(module, nn.Linear) and "out_features" in entry,
    }
    if len(entry.get("streams", ())) > max(entry.get("returns", 0), 1):
        _refuse(f"says of {path} more streams than it returns values", entry["streams"])
    if not fits.get(becomes, True):
        _refuse(f"cannot make a {type(module).__name__}, as {path} is, into", becomes)
    if becomes == "scattered":
        _check_count(path, module, "out_features", entry["out_features"])


def _by_stream(entry: Mapping[str, Any]) -> bool:
    """Whether there is a bias for each stream, and no projection's twice where streams are not said."""
    biases, streams = entry["biases"], entry.get("streams")
    if streams is None:
        return len(set(biases)) == len(biases) <= 2
    return len(biases) in (1, len(streams))


def _made(module: nn.Module) -> dict[str, int]:
    """The widths of the Linear layers inside of ``module``, by path."""
    return {
        path: layer.out_features
        for path, layer in module.named_modules()
        if path and isinstance(layer, nn.Linear)
    }


def _named(module: nn.Module, value: Any) -> bool:
    """Whether ``value`` lists arguments of ``module``."""
    known = inspect.signature(module.forward).parameters
    return _list(value) and all(each is None or (isinstance(each, str) and each in known) for each in value)


def _list(value: Any) -> bool:
    return isinstance(value, list | tuple) and 1 <= len(value) <= MOST


# What may be said of a module that becomes something else.
SAID: dict[str, Callable[[nn.Module, Any], bool]] = {
    "returns": lambda module, value: type(value) is int and 1 <= value <= MOST,
    "width": lambda module, value: type(value) is int and value in (0, *_made(module).values()),
    "biases": lambda module, value: (
        _list(value)
        and value[0] is not None
        and all(path is None or (isinstance(path, str) and path in _made(module)) for path in value)
    ),
    "residual": lambda module, value: value is True,
    "rescale": lambda module, value: type(value) in (int, float) and math.isfinite(value) and value > 0,
    "streams": _named,
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
    if plain_norm(module):
        return (WEIGHTS,)
    return tuple(name for name in COUNTS if type(vars(module).get(name)) is int)


def _check_count(path: str, module: nn.Module, name: str, value: Any) -> None:
    dense = _dense(module, name)
    least = dense if name == "num_embeddings" else int(not isinstance(module, nn.Linear))  # words stay
    if type(value) is not int or not least <= value <= dense:
        _refuse(f"needs a whole number from {least} to {dense} for {name} of {path}, not", value)


def _dense(module: nn.Module, name: str) -> int:
    """The value an attribute has before anything is removed."""
    if name == WEIGHTS or (name == "out_features" and isinstance(module, nn.Linear)):
        return len(module.get_parameter("weight"))  # a scattered Linear has fewer than it returns
    value = vars(module)[name]
    return int(value[-1] if name == "normalized_shape" else value)


def plain_norm(module: nn.Module) -> bool:
    """Whether this is a norm of no known class, whose parameters are one weight per channel, and biases."""
    own = dict(module.named_parameters(recurse=False))
    vectors = "weight" in own and own.keys() <= {"weight", "bias"} and own["weight"].ndim == 1
    return vectors and type(module).__name__.endswith("Norm") and not list(module.children())


def _check_groups(path: str, module: nn.Module, entry: Mapping[str, Any]) -> None:
    """Whether a norm's or a convolution's groups stay equally wide."""
    match module:
        case nn.GroupNorm():
            count, widths = entry.get("num_groups", module.num_groups), ["num_channels"]
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            count, widths = entry.get("groups", module.groups), ["in_channels", "out_channels"]
            if count != module.groups and not count == entry.get("in_channels") == entry.get("out_channels"):
                _refuse(f"changes the groups of {path}, which is not depthwise", count)
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
    rows = None
    for name, value in attributes.items():
        if name == WEIGHTS or (name == "out_features" and hasattr(module, "places")):
            rows = value  # of a norm, or of a Linear that is scattered
        else:
            setattr(module, name, (value,) if name == "normalized_shape" else value)
    shape = _shape(module, rows)
    if shape is None:
        return
    for name, old in list(module.named_parameters(recurse=False)):
        size = shape if name == "weight" else shape[:1]
        empty = torch.empty(size, dtype=old.dtype, device=old.device)
        setattr(module, name, nn.Parameter(empty, requires_grad=old.requires_grad))
    places = dict(module.named_buffers(recurse=False)).get("places")
    if places is not None:
        module.register_buffer("places", places[: shape[0]])


def _shape(module: nn.Module, rows: int | None) -> tuple[int, ...] | None:
    """The shape of a layer's weight by its attributes; None where it is no layer."""
    match module:
        case nn.Linear():
            rows = len(module.weight) if rows is None and hasattr(module, "places") else rows
            return (module.out_features if rows is None else rows, module.in_features)
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            return (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        case nn.Embedding():
            return (module.num_embeddings, module.embedding_dim)
        case nn.GroupNorm() | Kept():
            return (module.out_features if isinstance(module, Kept) else module.num_channels,)
        case nn.LayerNorm() | nn.RMSNorm():
            return tuple(module.normalized_shape)
    return None if rows is None else (rows,)


def _refuse(what: str, value: Any) -> NoReturn:
    raise ValueError(f"the structure {what}: {_short(value)}")


def _short(value: Any) -> str:
    """A value on one line, however long it is."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
