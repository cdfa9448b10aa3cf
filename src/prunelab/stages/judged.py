"""Judge: what the judge says of real held-out examples, once for every state that is evaluated."""

from pathlib import Path

from torch import Tensor

from prunelab.core.tasks import Judgement
from prunelab.engine import ranks
from prunelab.stages.bench import Artifact, Bench, Write, write_tensors
from prunelab.tracking.protocol import Run

VERSION = 1
PREDICTED = "predicted."  # before the label's name


def judge_real(bench: Bench, count: int) -> Artifact:
    """Features and predictions of the first ``count`` held-out examples, as ``real.safetensors``.

    Rank 0 alone looks at them.
    """

    def make(partial: Path, run: Run) -> Write:
        tensors = {} if ranks.rank() else alone()
        return lambda folder: write_tensors(folder / "real.safetensors", tensors)

    def alone() -> dict[str, Tensor]:
        with ranks.alone():
            judged = bench.task.judged(bench.task.test(count).media)
        named = {f"{PREDICTED}{name}": classes for name, classes in judged.predictions.items()}
        return {"features": judged.features, **named}

    inputs = {
        "data": bench.task.fingerprint(),
        "judge": bench.task.judge_fingerprint(),
        "labels": list(bench.task.labels),
        "count": count,
        "precision": bench.hardware.arithmetic,
    }
    return bench.artifact("judge", "test", VERSION, inputs, make)


def load_judgement(artifact: Artifact) -> Judgement:
    """Features and, per label, the class that the judge sees in each example."""
    tensors = artifact.tensors("real.safetensors")
    features = tensors.pop("features")
    return Judgement(features, {name.removeprefix(PREDICTED): v for name, v in tensors.items()}, {})
