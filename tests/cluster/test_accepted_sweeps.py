"""Sweeps of twelve jobs on a SLURM of two nodes: left alone, killed in every way, with one that cannot be.

Minutes each: run by ``make test-slurm`` alone.
"""

import json
import os
import signal
import time
from typing import Any

import pytest
from daemons import tasks, until
from work import EVALUATED, MINUTES, PROFILE, Ran, Work, timeless

from prunelab.cli.job_record import now

pytestmark = pytest.mark.acceptance
FEW = {
    "few_shift": "defaults: [latent_shift]\nsamples: 2\nsteps: 1\nbatch_size: 2\n",
    "few_taylor": "defaults: [taylor]\nsamples: 2\nstride: 500\nbatch_size: 2\n",
}
SCORERS, SPARSITIES = ("magnitude", "random", *FEW), (0.1, 0.2, 0.3)
CELLS = sorted((scorer, sparsity) for scorer in SCORERS for sparsity in SPARSITIES)


@pytest.fixture(scope="module")
def words(work: Work) -> tuple[str, ...]:
    """Four scorers and three sparsities; two of the scorers are the user's own files, with few samples."""
    folder = work.folder / "parts" / "scorer"
    folder.mkdir(parents=True)
    for name, text in FEW.items():
        (folder / f"{name}.yaml").write_text(text)
    swept = (f"scorer={','.join(SCORERS)}", f"sparsity={','.join(map(str, SPARSITIES))}")
    own = ("--config-dir", str(folder.parent))
    return ("-m", "hydra/launcher=slurm", *own, *EVALUATED, "recovery=none", *swept)


@pytest.fixture(scope="module")
def straight(work: Work, words: tuple[str, ...]) -> Ran:
    return work.ran("straight", *words)


def cells(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return sorted((row["scorer"], row["sparsity"]["requested"]) for row in rows if row["state"] == "pruned")


def test_twelve_jobs_score_four_times_and_plan_twelve(work: Work, straight: Ran) -> None:
    assert straight.code == 0, straight.err
    assert cells(straight.rows()) == CELLS
    assert [len(work.made("straight", stage)) for stage in ("score", "prune")] == [4, 12]


class Killed:
    """The same sweep with every job on both nodes, which loses a rank, a node and its driver."""

    def __init__(self, work: Work, words: tuple[str, ...]) -> None:
        self.work, self.words = work, (*words, *PROFILE)
        self.scored = dict[str, int]()
        self.others = {*work.folder.glob("multirun/*/*")}

    def run(self) -> Ran:
        """Start, kill as one job after another ends, and start the same command again."""
        driver = self.work.started("killed", *self.words)
        for kill, finished in ((self.rank, 1), (self.node, 3)):
            self._after(finished)
            kill()
        self._after(5)
        driver.kill()
        driver.communicate()
        self.scored = self.work.made("killed", "score")
        assert len(self._with("done")) < len(CELLS), "it was over before its driver died"
        return self.work.ran("killed", *self.words)

    def rank(self) -> None:
        """One of a job's two processes; the job ends for that within a minute."""
        job, rank = self._a_task(SLURM_PROCID="1")
        time.sleep(5)
        os.kill(rank, signal.SIGKILL)
        until(lambda: job not in self._running(), f"job {job} goes on without a rank", MINUTES)

    def node(self) -> None:
        """The second node, in the middle of the jobs there, which SLURM starts again."""
        job, _ = self._a_task(SLURMD_NODENAME="n2")
        self.work.cluster.die("n2")
        until(lambda: self.work.cluster.job(job)["Restarts"] == "1", f"job {job} is not requeued", MINUTES)
        self.work.cluster.revive("n2")

    def _after(self, finished: int) -> None:
        until(lambda: len(self._with("done")) >= finished, f"no {finished} jobs are done", 15 * MINUTES)

    def _a_task(self, **said: str) -> tuple[str, int]:
        """The next job to begin its record, and its process that the environment says this of."""
        found, since = list[tuple[str, int]](), now()

        def looked() -> bool:
            running = self._running(since)
            pairs = [(job, each) for job in running for each in self._processes(job, **said)]
            found[:] = pairs
            return bool(pairs)

        until(looked, "no job is running", 5 * MINUTES)
        return found[0]

    def _processes(self, job: str, **said: str) -> list[int]:
        array, _, task = job.partition("_")
        own = {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": task} if task else {"SLURM_JOB_ID": job}
        return tasks(self.work.cluster.root, **own, **said)

    def _running(self, since: str = "") -> list[str]:
        queue = self.work.cluster.ask("squeue", "--noheader", "--array", "--states=R", "--format=%i").split()
        attempts = [record["attempts"][-1] for record in self._with("running")]
        begun = {attempt["slurm_job"] for attempt in attempts if attempt["started"] > since}
        return [job for job in queue if job in begun]

    def _with(self, state: str) -> list[dict[str, Any]]:
        return [each for each in self.records() if each["state"] == state]

    def records(self) -> list[dict[str, Any]]:
        """Those of the sweep's jobs."""
        own = {*self.work.folder.glob("multirun/*/*")} - self.others
        return [json.loads(path.read_text()) for sweep in own for path in sweep.glob("[0-9]*/job.json")]


@pytest.fixture(scope="module")
def killed(work: Work, words: tuple[str, ...], straight: Ran) -> tuple[Killed, Ran]:
    sweep = Killed(work, words)
    return sweep, sweep.run()


def test_what_was_killed_ends_in_the_same_rows(straight: Ran, killed: tuple[Killed, Ran]) -> None:
    _, ended = killed
    assert ended.code == 0, ended.err
    assert any(line.startswith("resuming the sweep in multirun/") for line in ended.err)
    assert cells(ended.rows()) == CELLS
    assert [timeless(row) for row in ended.rows()] == [timeless(row) for row in straight.rows()]


def test_what_was_killed_scores_nothing_a_second_time(work: Work, killed: tuple[Killed, Ran]) -> None:
    sweep, _ = killed
    made = work.made("killed", "score")
    assert sweep.scored.items() <= made.items()
    assert [len(made), len(work.made("killed", "prune"))] == [4, 12]


def test_every_attempt_is_recorded_with_its_class(killed: tuple[Killed, Ran]) -> None:
    found = [each["failure"] for record in killed[0].records() for each in record["attempts"]]
    assert found.count(None) == len(CELLS)
    assert set(found) <= {None, "node lost", "preempted"}
    assert len(found) >= len(CELLS) + 2, "the rank and the node were lost in the middle of jobs"


def test_one_cell_that_cannot_be_is_named_and_stops_no_other(work: Work) -> None:
    """In the command's own process, and as jobs of SLURM: the same rows, the same line and the same code."""
    sparsities = [*(round(0.02 * number, 2) for number in range(1, 12)), 0.99]
    swept = (*EVALUATED, "scorer=magnitude", "recovery=none", f"sparsity={','.join(map(str, sparsities))}")
    one, many = (
        work.ran("impossible", "-m", *swept, *launcher) for launcher in ((), ("hydra/launcher=slurm",))
    )
    for ended in (one, many):
        assert ended.code == 1
        assert cells(ended.rows()) == [("magnitude", sparsity) for sparsity in sparsities[:-1]]
        assert [line for line in ended.err if line.startswith("prunelab: ")] == refusals(one)
        assert ended.err[-1] == "11 of 12 jobs are done; the same command tries the others again"
    assert len(refusals(one)) == 1
    assert "sparsity=0.99" in refusals(one)[0]
    assert [timeless(row) for row in many.rows()] == [timeless(row) for row in one.rows()]


def refusals(ended: Ran) -> list[str]:
    return [line for line in ended.err if line.startswith("prunelab: ")]
