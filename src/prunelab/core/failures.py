"""Classes of failure, and what is done about each: the one place that says so.

A job that failed says of which class it was, attempt by attempt, in its record; whoever starts jobs asks here
whether it may be started once more. What was finished before the failure is in the store, so another attempt
goes on from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prunelab.core.errors import Refusal
from prunelab.core.stopping import Stopped


class Failure(StrEnum):
    """What became of an attempt that did not end well."""

    REFUSED = "refused"
    PREEMPTED = "preempted"
    LOST = "node lost"
    MEMORY = "out of memory"
    TIME = "out of time"
    DEFECT = "defect"


@dataclass(frozen=True)
class Policy:
    """again: how many further attempts one command starts by itself. advice: what a person can do."""

    again: int
    advice: str


POLICIES: Mapping[Failure, Policy] = {
    # The same request is refused again, and a defect fails again: neither is worth an hour of a node.
    Failure.REFUSED: Policy(0, "change what the line says, then the same command again"),
    Failure.DEFECT: Policy(0, "report it with its traceback; the same command tries it again"),
    # It was none of the job's doing. A job that takes its node with it must not do so without end.
    Failure.PREEMPTED: Policy(3, "run the same command again to resume"),
    Failure.LOST: Policy(2, "run the same command again to resume"),
    # Every attempt gets further, as recoveries go on from checkpoints.
    Failure.TIME: Policy(8, "give it more time, and run the same command again to resume"),
    # Nobody halves a batch behind a user's back: every batch size is part of an address.
    Failure.MEMORY: Policy(0, "more memory, or a smaller batch_size, then the same command again"),
}

SCHEDULER: Mapping[str, Failure] = {  # how SLURM's accounting calls the end of a job
    "OUT_OF_MEMORY": Failure.MEMORY,
    "TIMEOUT": Failure.TIME,
    "DEADLINE": Failure.TIME,
    "PREEMPTED": Failure.PREEMPTED,
    "CANCELLED": Failure.PREEMPTED,
    "NODE_FAIL": Failure.LOST,
    "BOOT_FAIL": Failure.LOST,
}
# How libraries say it whose exceptions have no class for it.
MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


class Ended(Refusal):
    """One line about processes of a job that ended, and of which class that was."""

    def __init__(self, line: object, failure: Failure) -> None:
        super().__init__(line)
        self.failure = failure


def classify(error: BaseException, late: bool = False) -> Failure:
    """The class of what a job ended with; ``late``: when its time was running out."""
    if isinstance(error, Ended):
        return error.failure
    if isinstance(error, Refusal):
        return Failure.REFUSED
    if isinstance(error, Stopped | KeyboardInterrupt):
        return Failure.TIME if late else Failure.PREEMPTED
    named = {kind.__name__ for kind in type(error).__mro__}
    return Failure.MEMORY if named & {"MemoryError", "OutOfMemoryError"} else of_words(str(error))


def of_words(text: str) -> Failure:
    """The class of an exception that was no refusal, by what was said of it."""
    return Failure.MEMORY if any(words in text.lower() for words in MEMORY_WORDS) else Failure.DEFECT


def of_scheduler(state: str) -> Failure:
    """The class of a job that left no word, by the state that SLURM's accounting gives it."""
    return SCHEDULER.get(state.split(" ", maxsplit=1)[0].rstrip("+"), Failure.LOST)


def once_more(failures: Sequence[Failure]) -> bool:
    """Whether a job whose attempts of one command failed like this is started again by that command."""
    last = failures[-1]
    return failures.count(last) <= POLICIES[last].again
