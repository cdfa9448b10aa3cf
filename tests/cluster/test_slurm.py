"""On a SLURM of two nodes: the main job from its template, interrupted and requeued, against one process.

One store, so that what is the same is computed once: what the jobs have in common is read by all.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from daemons import Cluster, until
from safetensors.torch import load_file

PROFILE = ("cluster.nodes=2", "+cluster.environment={MASTER_ADDR: 127.0.0.1}", "cluster.requeues=1")
WORDS = (
    *("logger=none", "granularity=block", "scorer=magnitude", "budget.of=parameters"),
    *("data.train_size=16", "data.test_size=16", "evaluation.seeds=2", "evaluation.samples=2"),
    *("evaluation.seen=2", "evaluation.steps=1", "evaluation.batch_size=2", "evaluation.real=16"),
    *("evaluation.held_out=2", "evaluation.timing.batches=[1]", "evaluation.timing.warmup=1"),
    *("evaluation.timing.repeats=2", "recovery.examples=16", "recovery.schedule.batch_size=2"),
    *("recovery.schedule.warmup=0", "recovery.schedule.ema=0.5", "recovery.schedule.checkpoint_every=1"),
)
STEPS = 24
TRAINED = f"recovery.schedule.steps={STEPS}"
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

    def said(self, number: str) -> str:
        file = self.folder / f"{number}.out"
        return file.read_text() if file.exists() else ""

    def ended_well(self, number: str) -> dict[str, str]:
        job = self.cluster.over(number, 10 * MINUTES)
        assert (job["JobState"], job["ExitCode"]) == ("COMPLETED", "0:0"), self.said(number)
        return job

    def rows(self, number: str) -> dict[str, Any]:
        report = self.folder / "outputs" / f"slurm-{number}" / "report.json"
        return {row["state"]: row for row in json.loads(report.read_text())["rows"]}

    def recovered(self, store: str) -> dict[str, torch.Tensor]:
        (file,) = (self.folder / store).glob("recover-*/model/unet/*.safetensors")
        return load_file(file)


@pytest.fixture(scope="module")
def work(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(cluster, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def straight(work: Work) -> str:
    """Two ranks as far as the recovery, which nothing interrupts."""
    number = work.submit("straight", *PROFILE, *WORDS, TRAINED, "until=recover")
    work.ended_well(number)
    return number


@pytest.fixture(scope="module")
def interrupted(work: Work, straight: str) -> str:
    """The whole job in two ranks, told in the middle of its recovery that its time runs out.

    What comes before the recovery is in its store already.
    """
    store = work.folder / "interrupted"
    shutil.copytree(work.folder / "straight", store, ignore=shutil.ignore_patterns("recover-*", ".*"))
    number = work.submit("interrupted", *PROFILE, *WORDS, TRAINED)
    until(lambda: trained(store), f"no recovery: {work.said(number)}", 5 * MINUTES)
    work.cluster.ask("scancel", "--signal=USR2", number)
    again = f"not requeued: {work.said(number)}"
    until(lambda: work.cluster.job(number)["Restarts"] == "1", again, 2 * MINUTES)
    work.ended_well(number)
    return number


def trained(store: Path) -> bool:
    """Whether the recovery has come two steps far."""
    saved = sorted(store.glob(".partial/*/checkpoints/*.checkpoint"))
    return bool(saved) and int(saved[-1].stem.rpartition("-")[2]) >= 2


def test_a_requeued_recovery_ends_in_the_same_weights(work: Work, straight: str, interrupted: str) -> None:
    assert "stopped by SIGUSR2: run the same command again to resume" in work.said(interrupted)
    assert "Traceback" not in work.said(interrupted)
    one, other = (work.recovered(store) for store in ("straight", "interrupted"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_nodes_report_what_one_process_does(work: Work, interrupted: str) -> None:
    """Exactly, but for clocks and for what was trained, which agrees to round-off."""
    ran = subprocess.run(
        ["prunelab", *WORDS, TRAINED, "hydra.run.dir=outputs/slurm-one"],  # noqa: S607
        env={**work.cluster.environment, "PRUNELAB_STORE": str(work.folder / "one")},
        cwd=work.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    one, two = work.rows("one"), work.rows(interrupted)
    assert list(one) == list(two) == ["dense", "pruned", "recovered"]
    told = [[row.pop("provenance")["job"] for row in rows.values()] for rows in (one, two)]
    assert told == [[{}] * 3, [{"SLURM job": interrupted, "node": "n1", "restarts": "1"}] * 3]
    for state, row in one.items():
        for each in (row, two[state]):
            each["cost"] = {name: value for name, value in each["cost"].items() if "latency" not in name}
        if state == "recovered":
            metrics = [each.pop("metrics") for each in (row, two[state])]
            values = [[estimate["value"] for estimate in each.values()] for each in metrics]
            assert values[1] == pytest.approx(values[0], rel=1e-2, abs=1e-6)
        assert two[state] == row


def test_restarts_have_an_end(work: Work) -> None:
    """A job that is told to stop as often as it starts ends for good, with the code that says so."""
    number = work.submit("capped", "cluster.requeues=0", *WORDS, TRAINED, "until=score")
    until(lambda: "in the store" in work.said(number) or "score" in work.said(number), "no start", MINUTES)
    work.cluster.ask("scancel", "--signal=USR2", number)
    job = work.cluster.over(number, MINUTES)
    assert (job["JobState"], job["Restarts"]) == ("FAILED", "0")
    assert job["ExitCode"] == "140:0", work.said(number)


def test_a_multirun_has_a_job_for_each_cell_and_scores_once(work: Work) -> None:
    """Two scorers and two sparsities through the launcher: a report of all, and no scoring done twice."""
    scorers, sparsities = ("magnitude", "random"), ("0.1", "0.3")
    swept = (f"scorer={','.join(scorers)}", f"sparsity={','.join(sparsities)}")
    words = [word for word in WORDS if not word.startswith(("scorer=", "recovery."))]
    ran = subprocess.run(
        ["prunelab", "-m", "hydra/launcher=slurm", *words, "recovery=none", *swept],  # noqa: S607
        env={**work.cluster.environment, "PRUNELAB_STORE": str(work.folder / "swept")},
        cwd=work.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    names = [path.name for path in (work.folder / "swept").iterdir()]
    assert [sum(name.startswith(kind) for name in names) for kind in ("score-", "prune-")] == [2, 4]
    (folder,) = ran.stdout.splitlines()
    rows = json.loads((Path(folder) / "report.json").read_text())["rows"]
    cells = [(row["scorer"], row["sparsity"]["requested"]) for row in rows if row["state"] == "pruned"]
    assert sorted(cells) == [(scorer, float(sparsity)) for scorer in scorers for sparsity in sparsities]
    assert {row["provenance"]["job"]["node"] for row in rows} == {"n1", "n2"}
