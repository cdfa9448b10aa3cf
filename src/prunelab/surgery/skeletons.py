"""Pipelines from their configurations alone: shapes without numbers, or random weights.

No file of weights is opened and no code of a folder is run: the classes are those of diffusers and
transformers that model_index.json names.
"""

import inspect
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, DiffusionPipeline, ModelMixin
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from prunelab.core import contents
from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.surgery.components import reading
from prunelab.surgery.opening import mapping, model_classes, stock_class

META = torch.device("meta")
WORD = "<word>"
TURNS = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
# Where a text encoder's configuration says nothing of positions: what T5 was trained on.
POSITIONS = 512


def skeleton(folder: Path, device: torch.device | str = "meta", seed: int = 0) -> DiffusionPipeline:
    """The pipeline of a diffusers folder, whose files of weights are not needed and not opened.

    On ``device`` "meta" its tensors are shapes, so that a model of any size is there in seconds; on any
    other, its weights are drawn from ``seed`` as their classes start them, float32, and zero where a class
    does not. Tokenizers are read where the folder has them, otherwise a placeholder of one word counts
    tokens; safety checkers and feature extractors are left out. Raises Refusal, in one line, where the
    folder is missing or broken, or names classes that are not those of the two libraries.
    """
    folder = contents.pipeline(folder)
    index = mapping(folder / "model_index.json")
    kind = _pipeline_class(folder, index.get("_class_name"))
    taken = inspect.signature(kind.__init__).parameters
    kinds = model_classes(folder)
    given = {}
    for name, entry in index.items():
        if name not in taken or name.startswith("_"):
            continue
        if name in kinds and name != "safety_checker":
            given[name] = _model(folder / name, kinds[name], torch.device(device), seed)
        else:
            given[name] = _part(folder, name, entry) if _names_a_class(entry) else entry
    with reading(folder):
        return kind(**given)


def _pipeline_class(folder: Path, name: object) -> type[DiffusionPipeline]:
    kind = stock_class("diffusers", name) if isinstance(name, str) else None
    _refuse_missing(folder, str(name), kind)
    if not (isinstance(kind, type) and issubclass(kind, DiffusionPipeline)):
        raise Refusal(f"{folder}: model_index.json names {name!r}, which is no pipeline of diffusers")
    return kind


def _names_a_class(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(each, str | None) for each in entry)


def _model(folder: Path, kind: Any, device: torch.device, seed: int) -> nn.Module:
    """A model from its config.json: every component's weights are drawn alone, whatever stands beside it."""
    with reading(folder), torch.random.fork_rng(devices=[]), _Blank():
        torch.manual_seed(generator(seed, 0, folder.name).initial_seed())
        with torch.device(META if device == META else "cpu"):
            if issubclass(kind, PreTrainedModel):
                model = kind(kind.config_class.from_pretrained(folder, local_files_only=True))
            else:
                model = kind.from_config(mapping(folder / "config.json"))
        return model.eval().to(device)


class _Blank(TorchFunctionMode):
    """New memory is zero: there are classes that never write to a parameter, since a file would."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Zeros for what asks for memory, anything else as it is."""
        return (torch.zeros if func is torch.empty else func)(*args, **(kwargs or {}))


def _part(folder: Path, name: str, entry: list[str | None]) -> Any:
    """What is no model: a scheduler, a tokenizer, or None where the pipeline does without."""
    library, class_name = entry
    if library is None or class_name is None or name == "safety_checker":
        return None
    kind = stock_class(library, class_name)
    _refuse_missing(folder / name, class_name, kind)
    known = isinstance(kind, type)
    if not known:
        raise Refusal(
            f"{folder}: {name} is a {class_name!r} of {library!r}, which diffusers and transformers do not "
            "have; code that a folder carries is not run"
        )
    if issubclass(kind, ModelMixin | PreTrainedModel):
        raise Refusal(f"{folder}: {name} has no config.json, so there is nothing to build it from")
    if issubclass(kind, ConfigMixin):
        configured: Any = kind
        with reading(folder / name):
            return configured.from_config(mapping(folder / name / configured.config_name))
    if issubclass(kind, PreTrainedTokenizerBase):
        return _tokenizer(folder, name, kind)
    return None


def _refuse_missing(folder: Path, class_name: str, kind: object) -> None:
    """Refuse a class that stands for a package which is not installed."""
    missing = [name for name in getattr(kind, "_backends", ()) if find_spec(name) is None]
    if missing:
        raise Refusal(
            f"{folder} is a {class_name}, which needs {', '.join(missing)}: pip install {' '.join(missing)}"
        )


def _tokenizer(folder: Path, name: str, kind: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of the folder, or a placeholder where it has no vocabulary."""
    settings = folder / name / "tokenizer_config.json"
    if any(file != settings for file in (folder / name).glob("*")):
        with reading(folder / name):
            return kind.from_pretrained(folder / name, local_files_only=True, trust_remote_code=False)
    length = mapping(settings).get("model_max_length") if settings.is_file() else None
    encoder = folder / name.replace("tokenizer", "text_encoder") / "config.json"
    return _placeholder(kind, length or _positions(mapping(encoder) if encoder.is_file() else {}))


def _positions(config: Mapping[str, Any]) -> int:
    """How many tokens a text encoder of this configuration was trained on."""
    inner = {**config, **config.get("text_config", {})}
    return inner.get("max_position_embeddings") or inner.get("n_positions") or POSITIONS


def _placeholder(kind: Any, length: int) -> PreTrainedTokenizerFast:
    """A tokenizer to which every word is the same one, number 0, which also ends and fills up to ``length``.

    It is a ``kind`` where it can be, since there are pipelines that treat tokenizers by their class.
    """
    fast = kind if issubclass(kind, PreTrainedTokenizerFast) else PreTrainedTokenizerFast
    body = {"__init__": PreTrainedTokenizerFast.__init__, "__module__": fast.__module__}  # saved as ``kind``
    bare = type(kind.__name__, (fast,), body)
    words = Tokenizer(models.WordLevel({WORD: 0}, unk_token=WORD))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single=f"$A {WORD}", special_tokens=[(WORD, 0)])
    roles = dict.fromkeys(("unk_token", "pad_token", "bos_token", "eos_token"), WORD)
    return bare(tokenizer_object=words, model_max_length=length, chat_template=TURNS, **roles)
