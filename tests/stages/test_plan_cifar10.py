"""The published figures of Diff-Pruning on CIFAR-10, through the command line's plan job."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def planned(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        "plan",
        "model=ddpm_cifar10",
        "experiment=diff_pruning",
        "logger=none",
        f"store={folder / 'store'}",
    ]
    return subprocess.run(
        [sys.executable, "-m", "prunelab", *command, f"hydra.run.dir={folder}", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_share_of_0_3_gives_the_published_size(tmp_path: Path) -> None:
    job = planned(tmp_path, "weights=random", "sparsity=0.3")
    assert job.returncode == 0, job.stderr
    content = json.loads((tmp_path / "plan.json").read_text())
    denoiser = content["components"]["denoiser"]
    assert denoiser["parameters"] == {"dense": 35_746_307, "pruned": 19_851_157}
    assert denoiser["macs_without_attention"]["dense"] == pytest.approx(6.06e9, rel=5e-3)
    assert denoiser["macs_without_attention"]["pruned"] == pytest.approx(3.39e9, rel=5e-3)
    assert len(content["units"]) == 50
    assert {unit["granularity"] for unit in content["units"]} == {"channel"}


def test_without_weights_the_line_says_what_would_work(tmp_path: Path) -> None:
    job = planned(tmp_path)
    assert job.returncode == 1
    assert "path=FOLDER" in job.stderr
    assert "weights=random" in job.stderr
    assert len(job.stderr.strip().splitlines()) == 1
