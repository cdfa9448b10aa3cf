"""Single jobs on a SLURM of two nodes: their time runs out, they are told to end, they follow each other.

Minutes each: run by ``make test-slurm`` alone.
"""

import json
import re
import shutil
import subprocess
from itertools import pairwise

import pytest
import torch
from daemons import until
from work import EVALUATED, MINUTES, TRAINED, WORDS, Work

pytestmark = pytest.mark.acceptance
# A recovery of the user's own whose steps take seconds (PACE), on however many cores, but for the last start.
ROUNDS, PACE, STEPS = 3, 3, 180  # three starts of three minutes hold 160 such steps at most
SLOW = """
import os
import time

from prunelab.core.settings import settings
from prunelab.recovery.finetune import DenoisingObjective, Finetune


@settings
class Slow(Finetune):
    def objective(self, student, teacher, draws):
        return SlowObjective(student, draws)


class SlowObjective(DenoisingObjective):
    def loss(self, batch):
        start = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        if start < int(os.environ.get("ROUNDS", "0")):
            print("a step of start", start, flush=True)
            time.sleep(float(os.environ["PACE"]))
        return super().loss(batch)
"""
PACED = f"+cluster.environment={{PACE: '{PACE}', ROUNDS: '{ROUNDS}'}}"


@pytest.fixture(scope="module")
def slow(work: Work) -> tuple[str, ...]:
    """The words of a job as far as such a recovery."""
    folder = work.folder / "parts"
    (folder / "recovery").mkdir(parents=True)
    (folder / "slow.py").write_text(SLOW)
    (folder / "recovery" / "slow.yaml").write_text(
        "defaults: [finetune, _self_]\nmethod:\n  _target_: slow.Slow\n  antithetic: false\n"
    )
    own = ("--config-dir", str(folder), "recovery=slow", "scorer=magnitude", "until=recover")
    often = "recovery.schedule.checkpoint_every=25"
    return (*own, *EVALUATED, *TRAINED[:-1], often, f"recovery.schedule.steps={STEPS}")


def test_a_recovery_whose_time_runs_out_ends_in_the_same_weights(work: Work, slow: tuple[str, ...]) -> None:
    """By SLURM's own clock, three times and more; it looks twice a minute, and sends USR2 a minute early."""
    work.ended_well(work.submit("unhurried", *slow), 20 * MINUTES)
    store = work.folder / "hurried"
    shutil.copytree(work.folder / "unhurried", store, ignore=shutil.ignore_patterns("recover-*", ".*"))
    limits = ("cluster.time=3", "cluster.notice=20", "cluster.requeues=9", PACED)
    number = work.submit("hurried", *slow, *limits)
    job = work.ended_well(number, 40 * MINUTES)
    assert int(job["Restarts"]) >= ROUNDS
    said = work.said(number)
    assert all(f"a step of start {start}\n" in said for start in range(ROUNDS)), "in recovery each time"
    assert "Traceback" not in said
    assert said.count("stopped by SIGUSR2: run the same command again to resume") == int(job["Restarts"])
    record = json.loads((work.folder / "outputs" / f"slurm-{number}" / "job.json").read_text())
    failures = [attempt["failure"] for attempt in record["attempts"]]
    assert failures == ["out of time"] * int(job["Restarts"]) + [None]
    one, other = (work.recovered(name) for name in ("unhurried", "hurried"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("stage", "begun"), [("score", r"^score: \d"), ("recover", "^a step"), ("sample", r"^sample.*: \d")]
)
def test_a_job_that_is_told_to_end_does_so_within_ten_seconds(
    work: Work, slow: tuple[str, ...], stage: str, begun: str
) -> None:
    """With SIGTERM to its step, in the middle of a stage, and the code that says so."""
    long = {
        "score": ("scorer=latent_shift", *EVALUATED),
        "recover": (*slow, "recovery.seed=7"),
        "sample": (
            "scorer=magnitude",
            *EVALUATED,
            "recovery=none",
            "evaluation.seeds=200",
            "evaluation.steps=50",
        ),
    }[stage]
    number = work.submit(f"told-{stage}", "cluster.requeues=0", *long, PACED)
    running = re.compile(begun, re.MULTILINE)
    until(lambda: running.search(work.said(number)), f"no {stage}: {work.said(number)}", 5 * MINUTES)
    work.cluster.ask("scancel", "--signal=TERM", number)
    job = work.cluster.over(number, 10)
    assert (job["JobState"], job["ExitCode"]) == ("FAILED", "143:0"), work.said(number)
    assert "stopped by SIGTERM: run the same command again to resume" in work.said(number)


def test_a_chain_runs_to_its_end(work: Work) -> None:
    """Four jobs, the recovery on both nodes; each starts when the one before has ended well."""
    resources = "+cluster.stages={recover: {nodes: 2}}"
    address = "+cluster.environment={MASTER_ADDR: 127.0.0.1}"
    numbers = submitted(work, "chain", *WORDS, "recovery.schedule.steps=4", resources, address)
    jobs = [work.ended_well(number) for number in numbers]
    assert [job["JobName"].removeprefix("prunelab-") for job in jobs] == [
        "score",
        "prune",
        "recover",
        "evaluate",
    ]
    assert [job["NumNodes"] for job in jobs] == ["1", "1", "2", "1"]
    for before, after in pairwise(jobs):
        assert before["EndTime"] <= after["StartTime"]
    made = [max(work.made("chain", stage).values()) for stage in ("score", "prune", "recover", "evaluate")]
    assert made == sorted(made)
    assert [len(work.made("chain", stage)) for stage in ("score", "prune", "recover")] == [1, 1, 1]
    assert list(work.rows(numbers[-1])) == ["dense", "pruned", "recovered"]


def test_a_chain_without_its_first_job_does_not_wait(work: Work) -> None:
    numbers = submitted(work, "broken", *WORDS)
    work.cluster.ask("scancel", numbers[0])
    assert {work.cluster.over(number)["JobState"] for number in numbers} == {"CANCELLED"}


def submitted(work: Work, store: str, *words: str) -> list[str]:
    """The numbers of a chain's jobs."""
    work.cluster.environment["PRUNELAB_STORE"] = str(work.folder / store)
    text = work.cluster.ask("prunelab", "chain", *words)
    done = subprocess.run(
        ["bash"],  # noqa: S607
        input=text,
        env=work.cluster.environment,
        cwd=work.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()
