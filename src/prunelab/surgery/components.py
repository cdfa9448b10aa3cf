"""Open one component of a diffusers folder: with all of its weights, or not at all.

The libraries start tensors that a folder lacks from random values, leave out those that they do not know, and
convert what is no number to one. Here each of these is a refusal.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ModelMixin
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.surgery.carried import note_zeros, zeroed_of
from prunelab.surgery.portable import settled
from prunelab.surgery.pruned_layers import Scattered
from prunelab.surgery.version_1 import renewed_config
from prunelab.surgery.weight_files import FLOATS, Stored, headers, listing

# What the libraries raise for a folder that they cannot make sense of.
UNREADABLE = (
    OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, ArithmeticError,
    AssertionError, ImportError, SafetensorError, StrictDataclassError,
)  # fmt: skip


def open_component(folder: Path, kind: Any, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The model of class ``kind`` (a diffusers or transformers one) in ``folder``: ``dtype``, on the CPU.

    Its weights lie in memory of their own, so that a model gives the same results bit for bit however its
    file was laid out. Raises Refusal, in one line that names the folder, where the weights are not exactly
    the model's, are no floating-point numbers, or not finite.
    """
    stored = headers(folder, "diffusion_pytorch_model" if issubclass(kind, ModelMixin) else "model")
    with reading(folder), _quiet():
        model, found = _read(folder, kind, stored, dtype)
    _refuse_unless_whole(folder, stored, *(sorted(each) for each in found))
    with reading(folder):
        note_zeros(model, zeroed_of(folder))
    parameters = dict(model.named_parameters())
    for name, tensor in stored.items():
        if tensor.dtype not in FLOATS and {name, name.partition(".")[2]} & parameters.keys():
            raise Refusal(
                f"{folder}: {name} in {tensor.file} is stored as {tensor.dtype}, which weights are not: "
                f"save it as one of {', '.join(FLOATS)}"
            )
    settled(model)
    for name, parameter in parameters.items():
        if not _finite(parameter):
            raise Refusal(
                f"{folder}: {name} is not finite in {str(dtype).removeprefix('torch.')} (NaN or infinity): "
                "such weights are damaged, or too large for it"
            )
    _check_places(folder, model)
    return model


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise about ``folder`` into a refusal of one line."""
    try:
        yield
    except UNREADABLE as error:
        if isinstance(error, Refusal):
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise Refusal(f"the model folder {folder} is broken or incomplete: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' own pages about tensors that do not fit; the refusal says it in one line."""
    levels = [library.utils.logging.get_verbosity() for library in (diffusers, transformers)]
    try:
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_error()
        yield
    finally:
        for library, level in zip((diffusers, transformers), levels, strict=True):
            library.utils.logging.set_verbosity(level)


def _read(
    folder: Path, kind: Any, stored: Mapping[str, Stored], dtype: torch.dtype
) -> tuple[Any, tuple[set[str], ...]]:
    """The model; names of tensors that are missing, that nobody knows, and that have another shape."""
    options = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    options |= renewed_config(folder, kind)
    if not issubclass(kind, ModelMixin):  # transformers
        model, info = kind.from_pretrained(folder, dtype=dtype, ignore_mismatched_sizes=True, **options)
        used = {name.partition(".")[0] for name in stored.keys() - info["unexpected_keys"]}
        own = used | {name for name, _ in model.named_children()}
        # A tower or a head of a larger model that this one is part of; what lies beside its own is not.
        unknown = {name for name in info["unexpected_keys"] if name.partition(".")[0] in own}
        return model, (set(info["missing_keys"]), unknown, {name for name, *_ in info["mismatched_keys"]})
    try:
        model, info = kind.from_pretrained(folder, torch_dtype=dtype, **options)
    except ValueError:  # diffusers stops at the first tensor of another shape
        found = _misfits(folder, kind, stored, renewed_config(folder, kind))
        if not any(found):
            raise
        return nn.Module(), found
    buffers = {name for name, _ in model.named_buffers()}  # some were stored once, and are computed today
    return model, (set(info["missing_keys"]), set(info["unexpected_keys"]) - buffers, set())


def _misfits(
    folder: Path, kind: Any, stored: Mapping[str, Stored], config: Mapping[str, Any]
) -> tuple[set[str], ...]:
    """The same names by comparison with an empty model."""
    with torch.device("meta"):
        empty = kind.from_config(kind.load_config(folder, local_files_only=True), **config).state_dict()
    shapes = {name for name in stored.keys() & empty.keys() if stored[name].shape != tuple(empty[name].shape)}
    return set(empty.keys() - stored.keys()), set(stored.keys() - empty.keys()), shapes


def _refuse_unless_whole(
    folder: Path, stored: Mapping[str, Stored], missing: list[str], unknown: list[str], reshaped: list[str]
) -> None:
    told = [("missing", missing), ("not known to the model", unknown), ("of another shape", reshaped)]
    parts = [f"{len(names)} {what} ({listing(names)})" for what, names in told if names]
    if parts:
        files = listing(sorted({tensor.file for tensor in stored.values()})) or "the file without any tensors"
        raise Refusal(
            f"the weights of {folder} do not belong to its config.json: of the tensors in {files}, "
            f"{', '.join(parts)}; put the files together that were saved together"
        )


def _finite(tensor: Tensor) -> bool:
    """Whether all numbers are; without a second tensor of that size."""
    return not tensor.numel() or all(bool(end.isfinite()) for end in tensor.detach().aminmax())


def _check_places(folder: Path, model: nn.Module) -> None:
    """The rows of a scattered Linear have to go to different places of its old width."""
    for path, module in model.named_modules():
        if isinstance(module, Scattered):
            places = module.places.tolist()
            inside = all(0 <= place < module.out_features for place in places)
            if len(set(places)) < len(places) or not inside:
                raise Refusal(
                    f"{folder}: {path}.places are not different rows of {module.out_features}: it is damaged"
                )
