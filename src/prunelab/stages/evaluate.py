"""Evaluate: samples from fixed seeds, and what the metrics say of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunelab.core.draws import integers, normal
from prunelab.core.errors import Refusal
from prunelab.core.estimates import Estimate
from prunelab.core.protocols import Model, NetworkMetric
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Count, NonNegativeCount, Number, Seed, Several, SeveralOrNone, settings
from prunelab.core.tasks import Task
from prunelab.engine import ranks
from prunelab.engine.observe import collect
from prunelab.stages.bench import Artifact, Bench, Part, Write, write_json, write_tensors
from prunelab.stages.encode import CHUNK, encode_test
from prunelab.tracking.protocol import Run

SAMPLE_VERSION = 2
VERSION = 3
PREDICTED, CONFIDENCE = "predicted.", "confidence."  # before the label's name, in the file of samples


@settings
class Evaluation:
    """How samples are drawn and held against the dense model and real data.

    seed: fixed, so that every row sees the same noise. seeds: sampling seeds of ``samples`` draws each,
    made with ``steps`` of the sampler under ``guidance``, ``batch_size`` at a time. real: held-out
    examples behind the distances; a covariance takes two. held_out: noisy latents for the output distance.
    Where either is 0, what is measured on it is undefined.
    """

    seed: Seed = 2024
    seeds: Count = 3
    samples: Several = 200
    steps: Count = 10
    guidance: Number = 2.0
    batch_size: Count = 50
    real: SeveralOrNone = 2000
    held_out: NonNegativeCount = 500

    @property
    def examples(self) -> int:
        """How many held-out examples are looked at."""
        return max(self.samples, self.real, self.held_out)

    @property
    def looks_at_media(self) -> bool:
        """Whether real media are needed, or prompts are enough."""
        return max(self.real, self.held_out) > 0


class Sampling:
    """Rows (sampling seed, draw), seed by seed, ``batch_size`` at a time."""

    def __init__(self, model: Model, task: Task, knobs: Evaluation) -> None:
        self.model, self.task, self.knobs = model, task, knobs
        self.prompts = task.prompts(knobs.samples)
        self.rows = knobs.seeds * knobs.samples
        self.chunks = -(-self.rows // knobs.batch_size)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the model; the judge stays where it is."""
        self.model.to(device)
        self.device = device

    @torch.no_grad()
    def observe(self, chunk: int) -> dict[str, Tensor]:
        """Stored media and what the judge says of them, of one chunk's rows."""
        start = chunk * self.knobs.batch_size
        rows = range(start, min(start + self.knobs.batch_size, self.rows))
        conditions = self.model.embed([self.prompts[row % self.knobs.samples] for row in rows])
        noise = normal(self.model.latent_shape, self.knobs.seed, rows, "evaluation latents").to(self.device)
        latents = self.model.sample(conditions, noise, self.knobs.steps, self.knobs.guidance)[-1]
        decoded = self.model.decode(latents).float()
        _check_finite(decoded, self.model.name)
        media = self.task.stored(decoded)
        judged = self.task.judged(media)
        named = {f"{PREDICTED}{name}": classes for name, classes in judged.predictions.items()}
        sure = {f"{CONFIDENCE}{name}": shares for name, shares in judged.confidences.items()}
        return {"media": media, "features": judged.features, **named, **sure}


class HeldOut:
    """The denoiser's output on held-out latents, under the same noise and timesteps for every model."""

    def __init__(self, model: Model, latents: Tensor, prompts: list[str], seed: int) -> None:
        self.model, self.latents, self.prompts, self.seed = model, latents, prompts, seed
        self.chunks = -(-len(latents) // CHUNK)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the model."""
        self.model.to(device)
        self.device = device

    @torch.no_grad()
    def observe(self, chunk: int) -> dict[str, Tensor]:
        """Raw outputs of one chunk of latents."""
        draws = range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.latents)))
        latents = self.latents[draws.start : draws.stop].to(self.device)
        noise = normal(latents.shape[1:], self.seed, draws, "held-out noise").to(self.device)
        timesteps = integers(self.model.timesteps, self.seed, draws, "held-out timestep").to(self.device)
        noisy = self.model.noised(latents, timesteps, noise)
        conditions = self.model.embed(self.prompts[draws.start : draws.stop])
        return {"outputs": self.model.predict(noisy, timesteps, conditions)}


def sample(bench: Bench, model: Model, identity: str, evaluation: Part[Evaluation]) -> Artifact:
    """The samples of ``model``, whose weights ``identity`` names, as ``samples.safetensors``."""
    knobs = evaluation.value
    held_out = _held_out(bench, model, knobs)

    def make(partial: Path, run: Run) -> Write:
        rows = collect(Sampling(model, bench.task, knobs), bench.hardware, "sample")
        shaped = {name: value.unflatten(0, (knobs.seeds, knobs.samples)) for name, value in rows.items()}
        outputs = {"outputs": torch.empty(0)}
        if held_out is not None:
            outputs = collect(held_out, bench.hardware, "held-out outputs")
        _check_finite(outputs["outputs"], identity)
        media = shaped["media"][0, :16]
        bench.task.preview("", media, bench.task.prompts(len(media))).show(run, "samples")
        return lambda folder: write_tensors(folder / "samples.safetensors", {**shaped, **outputs})

    inputs = {
        "evaluation": dict(evaluation.settings),
        "data": bench.task.fingerprint(),
        "labels": list(bench.task.labels),
        "judge": bench.task.judge_fingerprint(),
        "precision": bench.hardware.precision,
    }
    return bench.artifact("sample", bench.model.name, SAMPLE_VERSION, inputs, make, {"model": identity})


def _held_out(bench: Bench, model: Model, knobs: Evaluation) -> HeldOut | None:
    """Noisy latents of held-out examples; None where no such are to be looked at."""
    if not knobs.held_out:
        return None
    latents, examples = encode_test(bench, knobs.held_out)
    return HeldOut(model, latents, examples.prompts, knobs.seed)


def _check_finite(values: Tensor, identity: str) -> None:
    """Refuse a model that no metric can be taken of."""
    if not torch.isfinite(values).all():
        raise Refusal(
            f"what {identity} makes has values that are not finite (NaN or infinite): "
            "check the model's weights, and a recovery's learning rate"
        )


def load_samples(artifact: Artifact) -> Samples:
    """The samples of a sample artifact."""
    tensors = artifact.tensors("samples.safetensors")
    predictions, confidences = (
        {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}
        for prefix in (PREDICTED, CONFIDENCE)
    )
    return Samples(tensors["media"], tensors["features"], predictions, confidences, tensors["outputs"])


def evaluate(
    bench: Bench,
    generated: Artifact,
    dense: Artifact,
    evaluation: Part[Evaluation],
    metrics: list[dict[str, Any]],
) -> dict[str, Estimate]:
    """Metric name -> estimate for ``generated``; ``metrics`` are the settings of the task's metrics.

    Rank 0 alone measures, on all samples, and no metric gathers anything: others hold the same ones.
    """

    def make(partial: Path, run: Run) -> Write:
        measured = {} if ranks.rank() else alone()
        run.log({name: each.value for name, each in measured.items() if each.value is not None})
        return lambda folder: write_json(folder / "metrics.json", as_rows(measured))

    def alone() -> dict[str, Estimate]:
        with ranks.alone():
            samples = load_samples(generated)
            reference = _reference(bench.task, evaluation.value, load_samples(dense))
            return {metric.name: metric(samples, reference) for metric in bench.task.metrics}

    inputs = {
        "metrics": metrics,
        "evaluation": dict(evaluation.settings),
        "data": bench.task.fingerprint(),
        "labels": list(bench.task.labels),
    }
    networks = {m.name: m.fingerprint() for m in bench.task.metrics if isinstance(m, NetworkMetric)}
    inputs |= {"networks": networks} if networks else {}
    parents = {"samples": generated.address, "dense": dense.address}
    artifact = bench.artifact("evaluate", bench.model.name, VERSION, inputs, make, parents)
    return {name: Estimate.from_json(fields) for name, fields in artifact.json("metrics.json").items()}


def _reference(task: Task, knobs: Evaluation, dense: Samples) -> Reference:
    """What samples are held against."""
    asked, prompts = task.asked(knobs.samples), task.prompts(knobs.samples)
    held_out = task.prompts(knobs.held_out)
    if not knobs.real:
        none = dense.features.new_empty(0, dense.features.shape[-1])
        return Reference(none, {}, asked, dense, prompts, held_out)
    real = task.judged(task.test(knobs.real).media)
    return Reference(real.features, real.predictions, asked, dense, prompts, held_out)


def as_rows(measured: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """Estimates as ``report.json`` holds them."""
    return {name: estimate.as_json() for name, estimate in measured.items()}
