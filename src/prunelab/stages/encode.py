"""Encode: the latents of real examples, computed once for every recovery and evaluation."""

from pathlib import Path

import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.observation import Observation
from prunelab.core.protocols import Model
from prunelab.core.tasks import Examples
from prunelab.engine.observe import collect
from prunelab.stages.bench import Bench, Write, write_tensors
from prunelab.tracking.protocol import Run

VERSION = 1
CHUNK = 64  # examples encoded at once: part of the result to round-off, so not a setting


def encoding(model: Model, media: Tensor) -> Observation:
    """Stored media of shape (n, ...) to latents, ``CHUNK`` at a time."""

    def observe(rows: range, device: torch.device) -> dict[str, Tensor]:
        return {"latents": model.encode(media[rows.start : rows.stop].to(device))}

    return Observation(model, len(media), CHUNK, observe)


def encode_train(bench: Bench, count: int) -> tuple[Tensor, Examples]:
    """Latents of the first ``count`` training examples, and the examples."""
    examples = bench.task.train(count)
    return _encode(bench, examples, "train"), examples


def encode_test(bench: Bench, count: int) -> tuple[Tensor, Examples]:
    """Latents of the first ``count`` held-out examples, and the examples."""
    examples = bench.task.test(count)
    return _encode(bench, examples, "test"), examples


def _encode(bench: Bench, examples: Examples, split: str) -> Tensor:
    if examples.latents is not None:
        return examples.latents

    def make(partial: Path, run: Run) -> Write:
        rows = collect(encoding(bench.model, examples.media), bench.hardware, f"encode {split}")
        return lambda folder: write_tensors(folder / "latents.safetensors", rows)

    inputs = {
        "model": bench.model.fingerprint(),
        "data": bench.task.fingerprint(),
        "split": split,
        "count": len(examples),
        "precision": bench.hardware.arithmetic,
    }
    return bench.artifact("encode", split, VERSION, inputs, make).tensors("latents.safetensors")["latents"]


def check_kind(bench: Bench) -> None:
    """Refuse a model of something else than the task is about, or without prompts where it asks by them."""
    model, task = bench.model, bench.task
    if model.makes != task.about:
        raise Refusal(
            f"{model.name} makes {model.makes}, the task is about {task.about}: "
            "choose a task and a model that go together (task=..., model=...)"
        )
    if task.captioned and not model.prompted:
        raise Refusal(
            f"{model.name} reads no prompts, and the task asks by them: "
            "choose a text-to-image model, or an unconditional task (task=uig)"
        )


def check_media(bench: Bench) -> None:
    """Refuse data of another size than the model's: every recovery and evaluation would stumble over it.

    The same of other channels than the model's or the judge's, which torch refuses by itself.
    """
    media, needed = bench.task.test(1).media, tuple(bench.model.latent_shape)
    try:
        with torch.no_grad():
            found = tuple(bench.model.encode(media).shape[1:])
            bench.task.judged(media)
    except RuntimeError as error:
        raise Refusal(
            f"{bench.model.name} or the judge cannot take the data's examples of shape "
            f"{tuple(media.shape[1:])}: choose a model, data (data=...) and a judge (judge=...) that fit"
        ) from error
    if found != needed:
        raise Refusal(
            f"the data's examples become latents of shape {found}, {bench.model.name} works on {needed}: "
            "choose data of the model's size (data=..., data.size=...)"
        )
