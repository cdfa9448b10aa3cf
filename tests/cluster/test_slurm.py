"""On a SLURM of two nodes: the main job from its template, interrupted and requeued, against one process.

One store, so that what is the same is computed once: what the jobs have in common is read by all.
"""

import shutil
from typing import Any

import pytest
import torch
from daemons import until
from work import EVALUATED, MINUTES, PROFILE, WORDS, Work, timeless, trained

STEPS = 24
TRAINING = f"recovery.schedule.steps={STEPS}"


@pytest.fixture(scope="module")
def straight(work: Work) -> str:
    """Two ranks as far as the recovery, which nothing interrupts."""
    number = work.submit("straight", *PROFILE, *WORDS, TRAINING, "until=recover")
    work.ended_well(number)
    return number


@pytest.fixture(scope="module")
def interrupted(work: Work, straight: str) -> str:
    """The whole job in two ranks, told in the middle of its recovery that its time runs out.

    What comes before the recovery is in its store already.
    """
    store = work.folder / "interrupted"
    shutil.copytree(work.folder / "straight", store, ignore=shutil.ignore_patterns("recover-*", ".*"))
    number = work.submit("interrupted", *PROFILE, *WORDS, TRAINING)
    until(lambda: trained(store, 2), f"no recovery: {work.said(number)}", 5 * MINUTES)
    work.cluster.ask("scancel", "--signal=USR2", number)
    again = f"not requeued: {work.said(number)}"
    until(lambda: work.cluster.job(number)["Restarts"] == "1", again, 2 * MINUTES)
    work.ended_well(number)
    return number


def test_a_requeued_recovery_ends_in_the_same_weights(work: Work, straight: str, interrupted: str) -> None:
    assert "stopped by SIGUSR2: run the same command again to resume" in work.said(interrupted)
    assert "Traceback" not in work.said(interrupted)
    one, other = (work.recovered(store) for store in ("straight", "interrupted"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def one(work: Work) -> dict[str, Any]:
    """The rows of one process without SLURM, by state."""
    ran = work.ran("one", *WORDS, TRAINING, "hydra.run.dir=outputs/slurm-one")
    assert ran.code == 0, ran.err
    return work.rows("one")


def test_two_nodes_report_what_one_process_does(work: Work, interrupted: str, one: dict[str, Any]) -> None:
    two = work.rows(interrupted)
    told = [[row["provenance"]["job"] for row in rows.values()] for rows in (one, two)]
    assert told == [[{}] * 3, [{"SLURM job": interrupted, "node": "n1", "restarts": "1"}] * 3]
    check_same(one, two)


@pytest.mark.acceptance
def test_shared_weights_report_what_one_process_does(work: Work, straight: str, one: dict[str, Any]) -> None:
    """``trainer=fsdp``: the recovery's weights, gradients and moments are shared out over two nodes."""
    assert straight
    store = work.folder / "shared"
    shutil.copytree(work.folder / "straight", store, ignore=shutil.ignore_patterns("recover-*", ".*"))
    number = work.submit("shared", *PROFILE, *WORDS, TRAINING, "trainer=fsdp")
    work.ended_well(number)
    check_same(one, work.rows(number))


def check_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Exactly, but for clocks and for what was trained, which agrees to round-off."""
    assert list(one) == list(two) == ["dense", "pruned", "recovered"]
    for state, row in one.items():
        rows = [timeless(each) for each in (row, two[state])]
        if state == "recovered":
            metrics = [each.pop("metrics") for each in rows]
            values = [[estimate["value"] for estimate in each.values()] for each in metrics]
            assert values[1] == pytest.approx(values[0], rel=1e-2, abs=1e-6)
        assert rows[1] == rows[0]


def test_restarts_have_an_end(work: Work) -> None:
    """A job that is told to stop as often as it starts ends for good, with the code that says so."""
    number = work.submit("capped", "cluster.requeues=0", *WORDS, TRAINING, "until=score")
    until(lambda: "in the store" in work.said(number) or "score" in work.said(number), "no start", MINUTES)
    work.cluster.ask("scancel", "--signal=USR2", number)
    job = work.cluster.over(number, MINUTES)
    assert (job["JobState"], job["Restarts"]) == ("FAILED", "0")
    assert job["ExitCode"] == "140:0", work.said(number)


def test_a_multirun_has_a_job_for_each_cell_and_scores_once(work: Work) -> None:
    """Two sparsities through the launcher, a node each: a report of both, and no scoring done twice.

    Twelve jobs, some of them killed, are in ``test_accepted_sweeps.py``.
    """
    words = (*EVALUATED, "scorer=magnitude", "recovery=none", "sparsity=0.1,0.3", "cluster.cpus_per_task=2")
    ran = work.ran("swept", "-m", "hydra/launcher=slurm", *words)
    assert ran.code == 0, ran.err
    assert not [line for line in ran.err if "accounting" in line], "nobody asks what is not there"
    assert [len(work.made("swept", stage)) for stage in ("score", "prune")] == [1, 2]
    rows = ran.rows()
    assert [row["sparsity"]["requested"] for row in rows] == [None, 0.1, 0.3]
    assert {row["provenance"]["job"]["node"] for row in rows} == {"n1", "n2"}
