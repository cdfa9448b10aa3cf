"""What accounting says of jobs that left no word, on a SLURM of two nodes that has one.

Minutes, for the sake of a time limit: run by ``make test-slurm`` alone.
"""

from collections.abc import Iterator

import accounts
import pytest
from daemons import Absent, Cluster, obtained, until

from prunelab.cli import slurm_queue
from prunelab.core.failures import Failure, of_scheduler

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def accounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own, with a database."""
    try:
        obtained()
        obtained(accounts.PACKAGES, accounts.PROGRAMS)
    except Absent as reason:
        pytest.skip(f"no accounting here: {reason}")
    made = Cluster(tmp_path_factory.mktemp("accounted"), accounting=True)
    try:
        yield made.open()
    finally:
        made.close()


def test_jobs_that_left_no_word_get_their_class_from_accounting(
    accounted: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each end, asked when the controller has forgotten them."""

    def submitted(*words: str) -> str:
        where = (f"--chdir={accounted.root}", "--output=/dev/null", "--parsable")
        return accounted.ask("sbatch", *where, *words, "--wrap=sleep 600")

    ended = {
        submitted("--time=1"): Failure.TIME,
        submitted(): Failure.PREEMPTED,
        submitted("--nodelist=n2", "--no-requeue"): Failure.LOST,
    }
    _, cancelled, lost = ended
    until(lambda: accounted.job(lost)["JobState"] == "RUNNING", "it does not start")
    accounted.ask("scancel", cancelled)
    accounted.die("n2")
    states = [accounted.over(number, 240)["JobState"] for number in ended]
    assert states == ["TIMEOUT", "CANCELLED", "NODE_FAIL"]
    accounted.revive("n2")
    monkeypatch.setenv("SLURM_CONF", accounted.environment["SLURM_CONF"])
    monkeypatch.setattr(slurm_queue, "_controlled", lambda _: "")
    monkeypatch.setattr(slurm_queue, "_ended", {})
    for number, failure in ended.items():
        until(lambda number=number: slurm_queue.ended_as(number), f"accounting does not know job {number}")
        assert of_scheduler(slurm_queue.ended_as(number)) is failure
