"""Evaluate: samples from fixed seeds, and what the metrics say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunelab.core.draws import integers, normal
from prunelab.core.errors import Refusal
from prunelab.core.estimates import Estimate
from prunelab.core.metric import Described, Metric, NetworkMetric, PromptMetric
from prunelab.core.observation import Observation
from prunelab.core.protocols import Model, SamplingOptions
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.tasks import Task
from prunelab.engine import ranks
from prunelab.engine.observe import collect
from prunelab.engine.placement import device, placed
from prunelab.evaluation.evaluation import Evaluation
from prunelab.stages.bench import Artifact, Bench, Part, Write, write_json, write_tensors
from prunelab.stages.encode import CHUNK, encode_test
from prunelab.stages.judged import PREDICTED, judge_real, load_judgement
from prunelab.tracking.protocol import Run

SAMPLE_VERSION = 3
VERSION = 5
LATENTS = "evaluation latents"  # what the noise of held-out prompts is for
SEEN = "_seen"  # after the name of a metric of prompts, where recovery saw the prompts
CONFIDENCE = "confidence."  # before the label's name, in the file of samples, as PREDICTED is


def sampling(
    model: Model, task: Task, knobs: Evaluation, prompts: Sequence[str], purpose: str
) -> Observation:
    """Stored media and what the judge says of them, row by row (sampling seed, prompt), seed by seed.

    ``purpose`` names their noise. The judge stays where it is.
    """

    def observe(rows: range, device: torch.device) -> dict[str, Tensor]:
        conditions = model.embed([prompts[row % len(prompts)] for row in rows])
        noise = normal(model.latent_shape, knobs.seed, rows, purpose, device)
        spacing: SamplingOptions = {"last": True, "quadratic": knobs.spacing == "quadratic"}
        latents = model.sample(conditions, noise, knobs.steps, knobs.guidance, **spacing)[-1]
        decoded = model.decode(latents).float()
        _check_finite(decoded, model.name)
        media = task.stored(decoded)
        judged = task.judged(media)
        named = {f"{PREDICTED}{name}": classes for name, classes in judged.predictions.items()}
        sure = {f"{CONFIDENCE}{name}": shares for name, shares in judged.confidences.items()}
        return {"media": media, "features": judged.features, **named, **sure}

    return Observation(model, knobs.seeds * len(prompts), knobs.batch_size, observe)


def held_out_outputs(model: Model, latents: Tensor, prompts: Sequence[str], seed: int) -> Observation:
    """The denoiser's output on held-out latents, under the same noise and timesteps for every model."""

    def observe(draws: range, device: torch.device) -> dict[str, Tensor]:
        own = latents[draws.start : draws.stop].to(device)
        noise = normal(own.shape[1:], seed, draws, "held-out noise", device)
        timesteps = integers(model.timesteps, seed, draws, "held-out timestep", device)
        conditions = model.embed(prompts[draws.start : draws.stop])
        return {"outputs": model.predict(model.noised(own, timesteps, noise), timesteps, conditions)}

    return Observation(model, len(latents), CHUNK, observe)


def sample(bench: Bench, model: Model, identity: str, evaluation: Part[Evaluation]) -> Artifact:
    """The samples of ``model``, whose weights ``identity`` names, as ``samples.safetensors``.

    Those of prompts that recovery saw, where there are any, as ``seen.safetensors``.
    """
    knobs = evaluation.value
    held_out = _held_out(bench, model, knobs)

    def drawn(prompts: Sequence[str], purpose: str, describe: str) -> dict[str, Tensor]:
        rows = collect(sampling(model, bench.task, knobs, prompts, purpose), bench.hardware, describe)
        return {name: value.unflatten(0, (knobs.seeds, len(prompts))) for name, value in rows.items()}

    def make(partial: Path, run: Run) -> Write:
        prompts, known = bench.task.prompts(knobs.samples), bench.task.seen(knobs.seen).prompts
        outputs = {"outputs": torch.empty(0)}
        with placed(model, device(bench.hardware), bench.hardware.offload):
            shaped = drawn(prompts, LATENTS, "sample")
            seen = drawn(known, "evaluation latents of seen prompts", "sample seen prompts") if known else {}
            if held_out is not None:
                outputs = collect(held_out, bench.hardware, "held-out outputs")
        _check_finite(outputs["outputs"], identity)
        media = shaped["media"][0, :16]
        run.show("samples", bench.task.preview("", media, prompts[: len(media)]))

        def write(folder: Path) -> None:
            write_tensors(folder / "samples.safetensors", {**shaped, **outputs})
            if seen:
                write_tensors(folder / "seen.safetensors", {**seen, "outputs": torch.empty(0)})

        return write

    inputs = {
        "evaluation": dict(evaluation.settings),
        "data": bench.task.fingerprint(),
        "labels": list(bench.task.labels),
        "judge": bench.task.judge_fingerprint(),
        "precision": bench.hardware.arithmetic,
    }
    return bench.artifact("sample", bench.model.name, SAMPLE_VERSION, inputs, make, {"model": identity})


def _held_out(bench: Bench, model: Model, knobs: Evaluation) -> Observation | None:
    """Noisy latents of held-out examples; None where no such are to be looked at."""
    if not knobs.held_out:
        return None
    latents, examples = encode_test(bench, knobs.held_out)
    return held_out_outputs(model, latents, examples.prompts, knobs.seed)


def _check_finite(values: Tensor, identity: str) -> None:
    """Refuse a model that no metric can be taken of."""
    if not torch.isfinite(values).all():
        raise Refusal(
            f"what {identity} makes has values that are not finite (NaN or infinite): "
            "check the model's weights, and a recovery's learning rate"
        )


def load_samples(artifact: Artifact, name: str = "samples") -> Samples:
    """The samples of a sample artifact; of those that recovery saw with ``name`` seen."""
    tensors = artifact.tensors(f"{name}.safetensors")
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
        run.conclude(as_values(measured), quantities(bench.task.metrics))
        return lambda folder: write_json(folder / "metrics.json", as_rows(measured))

    def alone() -> dict[str, Estimate]:
        with ranks.alone():
            samples = load_samples(generated)
            reference = _reference(bench.task, evaluation.value, load_samples(dense), real)
            measured = {metric.name: metric(samples, reference) for metric in bench.task.metrics}
            return measured | _of_prompts(bench, generated, evaluation.value, measured)

    real = judge_real(bench, evaluation.value.real) if evaluation.value.real else None
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


def _of_prompts(
    bench: Bench, generated: Artifact, knobs: Evaluation, measured: Mapping[str, Estimate]
) -> dict[str, Estimate]:
    """Metrics of prompts: those that recovery saw apart, and a warning where the others are not held out."""
    metrics = [metric for metric in bench.task.metrics if isinstance(metric, PromptMetric)]
    asked, repeated = bench.task.seen(knobs.seen), bench.task.repeated(knobs.samples)
    warning = f"{repeated} of the {knobs.samples} prompts occur in the training split" if repeated else None
    defined = {m.name: measured[m.name] for m in metrics if measured[m.name].value is not None}
    found = {name: replace(estimate, warning=warning) for name, estimate in defined.items()}
    if asked.prompts:
        seen = load_samples(generated, "seen")
        reference = Reference(torch.empty(0), {}, asked.labels, seen, asked.prompts)
        found |= {f"{metric.name}{SEEN}": metric(seen, reference) for metric in metrics}
    return found


def _reference(task: Task, knobs: Evaluation, dense: Samples, judged: Artifact | None) -> Reference:
    """What samples are held against."""
    asked, prompts = task.asked(knobs.samples), task.prompts(knobs.samples)
    held_out = task.prompts(knobs.held_out)
    if judged is None:
        none = dense.features.new_empty(0, dense.features.shape[-1])
        return Reference(none, {}, asked, dense, prompts, held_out)
    real = load_judgement(judged)
    return Reference(real.features, real.predictions, asked, dense, prompts, held_out)


def quantities(metrics: Sequence[Metric]) -> dict[str, Quantity]:
    """What the metrics say of themselves, by the names under which they are evaluated."""
    told = {metric.name: metric.quantity for metric in metrics if isinstance(metric, Described)}
    seen = [metric.name for metric in metrics if isinstance(metric, PromptMetric) and metric.name in told]
    return told | {f"{name}{SEEN}": told[name].of_seen() for name in seen}


def as_values(measured: Mapping[str, Estimate]) -> dict[str, float]:
    """Estimates as numbers by name, with ``NAME/low`` and ``NAME/high``; undefined ones are left out."""
    sides = {"": "value", "/low": "low", "/high": "high"}
    said = {
        f"{name}{end}": getattr(each, side) for name, each in measured.items() for end, side in sides.items()
    }
    return {name: value for name, value in said.items() if value is not None}


def as_rows(measured: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """Estimates as ``report.json`` holds them."""
    return {name: estimate.as_json() for name, estimate in measured.items()}
