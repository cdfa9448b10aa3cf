"""The embedded model on a bench with a little data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prunelab.artifacts import Store
from prunelab.data.digits import Digits
from prunelab.judges.classifier import Judge
from prunelab.metrics.accuracy import PromptAccuracy
from prunelab.metrics.output_distance import OutputDistance
from prunelab.metrics.similarity import PeakSignalToNoise, StructuralSimilarity
from prunelab.models.folders import EMBEDDED
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.bench import Bench
from prunelab.tasks.text_to_image import TextToImage
from prunelab.tracking.protocol import Tracker
from prunelab.tracking.silent import SilentTracker
from prunelab.trainers.hardware import Hardware


@pytest.fixture
def make_bench(model: PipelineModel) -> Callable[..., Bench]:
    """``make_bench(FOLDER)``: a bench whose store is FOLDER, optionally with another tracker."""
    metrics = [PromptAccuracy(), StructuralSimilarity(), PeakSignalToNoise(), OutputDistance()]
    judge = Judge.load(EMBEDDED / "digit_judge")
    task = TextToImage(
        Digits(train_size=32, test_size=32), judge, metrics, ("digit", "foreground", "background")
    )

    def make(folder: Path, tracker: Tracker | None = None) -> Bench:
        return Bench(Store(folder), tracker or SilentTracker(), Hardware(), model, task)

    return make
