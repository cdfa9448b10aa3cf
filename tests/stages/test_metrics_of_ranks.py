"""Every metric of every task, and a user's on torchmetrics, is the same however many processes evaluate."""

import json
from pathlib import Path
from typing import Any

import pytest
from processes import run_ranks

JOB = Path(__file__).with_name("metrics_job.py")
NAMES = {"t2i": 8, "uig": 8, "uag": 8}  # with the user's, and the accuracy of seen prompts


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """Number of processes -> task -> metric -> estimate."""
    folder = tmp_path_factory.mktemp("groups")
    for world in (1, 2, 3):
        run_ranks(JOB, [str(folder)], folder, world)
    return {world: json.loads((folder / f"{world}.json").read_text()) for world in (1, 2, 3)}


@pytest.mark.parametrize("task", NAMES)
def test_every_metric_is_that_of_one_process(found: dict[int, Any], task: str) -> None:
    one = found[1][task]
    assert len(one) == NAMES[task]
    assert all(estimate["value"] is not None for estimate in one.values())
    for world in (2, 3):
        assert found[world][task] == one
