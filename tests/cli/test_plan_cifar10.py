"""The published figures of Diff-Pruning on CIFAR-10, through the command line's plan job."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
WORDS = ("plan", "model=ddpm_cifar10", "experiment=diff_pruning", "logger=none")


def test_a_share_of_0_3_gives_the_published_size(command: Command, tmp_path: Path) -> None:
    job = command(*WORDS, "sparsity=0.3", store=tmp_path / "store")
    content = json.loads((job.folder / "plan.json").read_text())
    denoiser = content["components"]["denoiser"]
    assert denoiser["parameters"] == {"dense": 35_746_307, "pruned": 19_851_157}
    assert denoiser["macs_without_attention"]["dense"] == pytest.approx(6.06e9, rel=5e-3)
    assert denoiser["macs_without_attention"]["pruned"] == pytest.approx(3.39e9, rel=5e-3)
    assert len(content["units"]) == 50
    assert {unit["granularity"] for unit in content["units"]} == {"channel"}


def test_a_run_without_weights_says_what_would_work(command: Command, tmp_path: Path) -> None:
    job = command("task=uig", *WORDS[1:], store=tmp_path / "store")
    assert (job.code, len(job.err)) == (1, 1)
    assert "path=FOLDER" in job.err[0]
    assert "weights=random" in job.err[0]
