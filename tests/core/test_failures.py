"""Classes of failure: each error has one, and each class ends some time."""

import pytest

from prunelab.core import failures
from prunelab.core.errors import Refusal
from prunelab.core.failures import POLICIES, Ended, Failure, classify, of_scheduler, once_more
from prunelab.core.stopping import Stopped


class OutOfMemoryError(RuntimeError):
    """As torch's is called."""


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (Refusal("no"), Failure.REFUSED),
        (Ended("process 1 was killed", Failure.LOST), Failure.LOST),
        (Stopped(15), Failure.PREEMPTED),
        (KeyboardInterrupt(), Failure.PREEMPTED),
        (MemoryError(), Failure.MEMORY),
        (OutOfMemoryError("CUDA"), Failure.MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Failure.MEMORY),
        (RuntimeError("shapes differ"), Failure.DEFECT),
    ],
)
def test_each_error_has_a_class(error: BaseException, failure: Failure) -> None:
    assert classify(error) == failure
    stopped = isinstance(error, Stopped | KeyboardInterrupt)
    assert classify(error, late=True) == (Failure.TIME if stopped else failure)


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        ("OUT_OF_MEMORY", Failure.MEMORY),
        ("TIMEOUT", Failure.TIME),
        ("CANCELLED by 1000", Failure.PREEMPTED),
        ("NODE_FAIL", Failure.LOST),
        ("", Failure.LOST),
    ],
)
def test_a_job_without_a_word_has_the_class_of_its_state(state: str, failure: Failure) -> None:
    assert of_scheduler(state) == failure


def test_each_class_has_a_policy_and_none_goes_on_for_ever() -> None:
    assert {*POLICIES} == {*Failure}
    for failure in Failure:
        attempts = [failure]
        while once_more(attempts):
            attempts.append(failure)
        assert len(attempts) == 1 + failures.POLICIES[failure].again
    assert not once_more([Failure.LOST, Failure.REFUSED])
