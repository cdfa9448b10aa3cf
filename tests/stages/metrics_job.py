"""What ``test_metrics_of_ranks.py`` runs: every metric on made-up samples, in every process of a group.

Usage: ``metrics_job.py FOLDER``, which gets a ``PROCESSES.json``.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torchmetrics
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, distributed

from prunelab.artifacts import Store
from prunelab.core.estimates import Estimate
from prunelab.core.presets import conf_folder
from prunelab.core.samples import Reference, Samples
from prunelab.core.tasks import Asked, Examples, Judgement
from prunelab.engine import ranks
from prunelab.evaluation.evaluation import Evaluation
from prunelab.stages.bench import Artifact, Bench, Part, write_tensors
from prunelab.stages.evaluate import evaluate
from prunelab.tracking.silent import SilentTracker
from prunelab.trainers.hardware import Hardware

SEEDS, DRAWS, REAL, SIZE, HELD_OUT = 2, 12, 40, 5, 4
KNOBS = Evaluation(seeds=SEEDS, samples=DRAWS, real=REAL, held_out=HELD_OUT)
SHAPES = {
    "t2i": ((3, 16, 16), torch.uint8),
    "uig": ((1, 16, 16), torch.uint8),
    "uag": ((1, 2048), torch.int16),
}


class Users:
    """A user's metric: torchmetrics' sum of what it is given, and torch's over the group if there is one."""

    name = "users"

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """Of the features."""
        metric = torchmetrics.SumMetric()
        metric.update(generated.features)
        total = metric.compute()
        if distributed.is_initialized():
            distributed.all_reduce(total)
        return Estimate(float(total), float(total), float(total), DRAWS)


@dataclass
class MadeUp:
    """A task with made-up real examples, whose judge says the same of equal ones."""

    name: str
    metrics: list[Any]
    labels: tuple[str, ...] = ("digit",)

    def prompts(self, count: int) -> list[str]:
        """Each of them twice."""
        return [f"a {i // 2}" if self.name == "t2i" else "" for i in range(count)]

    def asked(self, count: int) -> dict[str, Tensor]:
        """Three classes in turn."""
        return {"digit": torch.arange(count) % 3} if self.name == "t2i" else {}

    def seen(self, count: int) -> Asked:
        """As many prompts as there are draws."""
        return Asked(self.prompts(DRAWS), self.asked(DRAWS)) if self.name == "t2i" else Asked([], {})

    def repeated(self, count: int) -> int:
        """None of them."""
        return 0

    def test(self, count: int) -> Examples:
        """Noise."""
        return Examples(noise(0, count, SIZE), self.prompts(count))

    def judged(self, media: Tensor) -> Judgement:
        """The noise itself."""
        return Judgement(media, {"digit": (media[:, 0] > 0).long()}, {"digit": media[:, 0].sigmoid()})

    def fingerprint(self) -> str:
        """Of no data."""
        return self.name

    def judge_fingerprint(self) -> str:
        """Of no weights."""
        return "none"


def noise(seed: int, *shape: int) -> Tensor:
    """Standard normal."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def samples(task: str, seed: int) -> dict[str, Tensor]:
    """As a sample artifact holds them."""
    shape, dtype = SHAPES[task]
    media = noise(seed, SEEDS, DRAWS, *shape) * (40 if dtype is torch.uint8 else 3000)
    stored = (media + 128).clamp(0, 255) if dtype is torch.uint8 else media
    features = noise(seed + 1, SEEDS, DRAWS, SIZE)
    return {
        "media": stored.to(dtype),
        "features": features,
        "predicted.digit": (features[..., 1] > 0).long(),
        "confidence.digit": features[..., 2].sigmoid() / 2 + 0.5,
        "outputs": noise(seed + 2, HELD_OUT, 6),
    }


def measured(task: str, folder: Path) -> Mapping[str, Any]:
    """Every metric of the task's file and the user's, through the stage itself."""
    settings = OmegaConf.load(conf_folder() / "task" / f"{task}.yaml").task.metrics
    metrics = [*(instantiate(one) for one in settings), Users()]
    named: Any = SimpleNamespace(name=task)
    bench = Bench(Store(folder / "store"), SilentTracker(), Hardware(), named, MadeUp(task, metrics))  # type: ignore[arg-type]
    made = []
    for name, seed in (("ours", 1), ("dense", 5)):
        made.append(Artifact(f"sample-{task}-{name}", folder / f"{task}-{name}"))
        if ranks.rank() == 0:
            made[-1].path.mkdir(parents=True)
            write_tensors(made[-1].path / "samples.safetensors", samples(task, seed))
            write_tensors(made[-1].path / "seen.safetensors", samples(task, seed + 10))
    ranks.barrier()
    found = evaluate(bench, made[0], made[1], Part("made up", KNOBS, {}), [])
    return {name: estimate.as_json() for name, estimate in found.items()}


if __name__ == "__main__":
    ranks.start()
    folder = Path(sys.argv[1])
    found = {task: measured(task, folder / f"{ranks.world()}") for task in SHAPES}
    if ranks.rank() == 0:
        (folder / f"{ranks.world()}.json").write_text(json.dumps(found))
