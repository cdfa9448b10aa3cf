"""Jobs on the SLURM of these tests: the smallest settings, how one is submitted, and what it leaves."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from daemons import Cluster
from safetensors.torch import load_file

PROFILE = ("cluster.nodes=2", "+cluster.environment={MASTER_ADDR: 127.0.0.1}", "cluster.requeues=1")
EVALUATED = (
    *("logger=none", "granularity=block", "budget.of=parameters"),
    *("data.train_size=16", "data.test_size=16", "evaluation.seeds=2", "evaluation.samples=2"),
    *("evaluation.seen=2", "evaluation.steps=1", "evaluation.batch_size=2", "evaluation.real=16"),
    *("evaluation.held_out=2", "evaluation.timing.batches=[1]", "evaluation.timing.warmup=1"),
    "evaluation.timing.repeats=2",
)
TRAINED = (
    *("recovery.examples=16", "recovery.schedule.batch_size=2", "recovery.schedule.warmup=0"),
    *("recovery.schedule.ema=0.5", "recovery.schedule.checkpoint_every=1"),
)
WORDS = (*EVALUATED, "scorer=magnitude", *TRAINED)
MINUTES = 60.0


@dataclass
class Work:
    """Where jobs run, and what they need."""

    cluster: Cluster
    folder: Path

    def submit(self, store: str, *words: str, job: str = "sbatch") -> str:
        """The number of a job that was submitted as its text is printed; its output is ``NUMBER.out``."""
        self.cluster.environment["PRUNELAB_STORE"] = str(self.folder / store)
        text = self.cluster.ask("prunelab", job, *words)
        script = self.folder / f"{store}.{job}"
        script.write_text(text)
        to = (f"--chdir={self.folder}", f"--output={self.folder}/%j.out")
        return self.cluster.ask("sbatch", "--parsable", *to, script)

    def started(self, store: str, *words: str) -> "subprocess.Popen[str]":
        """A command line of prunelab's in a process of its own."""
        return subprocess.Popen(
            ["prunelab", *words],  # noqa: S607
            env={**self.cluster.environment, "PRUNELAB_STORE": str(self.folder / store)},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ran(self, store: str, *words: str) -> "Ran":
        """What became of a command line of prunelab's."""
        process = self.started(store, *words)
        out, err = process.communicate()
        return Ran(process.returncode, out.splitlines(), err.splitlines())

    def said(self, number: str) -> str:
        """What a job has printed; those of a chain say their stage in the file's name."""
        files = [self.folder / f"{number}.out", *self.folder.glob(f"prunelab-*{number}.out")]
        return "".join(file.read_text() for file in files if file.exists())

    def ended_well(self, number: str, seconds: float = 10 * MINUTES) -> dict[str, str]:
        job = self.cluster.over(number, seconds)
        assert (job["JobState"], job["ExitCode"]) == ("COMPLETED", "0:0"), self.said(number)
        return job

    def rows(self, number: str) -> dict[str, Any]:
        """The rows of a job's report by state."""
        report = self.folder / "outputs" / f"slurm-{number}" / "report.json"
        return {row["state"]: row for row in json.loads(report.read_text())["rows"]}

    def recovered(self, store: str) -> dict[str, torch.Tensor]:
        (file,) = (self.folder / store).glob("recover-*/model/unet/*.safetensors")
        return load_file(file)

    def made(self, store: str, stage: str) -> dict[str, int]:
        """The artifacts of a stage, and when each was made, in nanoseconds."""
        return {path.name: path.stat().st_mtime_ns for path in (self.folder / store).glob(f"{stage}-*")}


@dataclass(frozen=True)
class Ran:
    """How a command line ended: exit code, and the lines on either stream."""

    code: int
    out: list[str]
    err: list[str]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the report in the folder that it has printed."""
        rows: list[dict[str, Any]] = json.loads((Path(self.out[-1]) / "report.json").read_text())["rows"]
        return rows


def timeless(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what a clock measured, and without its command, date and place."""
    cost = {name: value for name, value in row["cost"].items() if "latency" not in name}
    return {**{key: row[key] for key in row if key != "provenance"}, "cost": cost}


def trained(store: Path, steps: int) -> bool:
    """Whether the recovery has come so far."""
    saved = sorted(store.glob(".partial/*/checkpoints/*.checkpoint"))
    return bool(saved) and int(saved[-1].stem.rpartition("-")[2]) >= steps
