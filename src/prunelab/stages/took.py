"""How long a stage took: kept with its result, over all the attempts that it was interrupted in."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunelab.engine import ranks

TOOK = "took.json"
SECONDS = "seconds"
PROCESSES = "processes"


@contextmanager
def clocked(partial: Path) -> Iterator[None]:
    """Add the block's seconds, also of one that does not end well, to those in the scratch folder.

    Of an attempt that was killed outright nothing is known.
    """
    since = time.monotonic()
    try:
        yield
    finally:
        if ranks.rank() == 0 and partial.is_dir():
            seconds = _before(partial) + time.monotonic() - since
            (partial / TOOK).write_text(json.dumps({SECONDS: seconds, PROCESSES: ranks.world()}))


def leave(partial: Path, folder: Path) -> None:
    """Write what was clocked into a result."""
    told = json.loads((partial / TOOK).read_text())
    (folder / TOOK).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def hours(folder: Path) -> float | None:
    """Hours of all processes together behind a result; None of one that was made before they were kept."""
    if not (folder / TOOK).is_file():
        return None
    told = json.loads((folder / TOOK).read_text())
    return float(told[SECONDS] * told[PROCESSES] / 3600)


def _before(partial: Path) -> float:
    """The seconds of earlier attempts; none where a kill left half a file."""
    try:
        return float(json.loads((partial / TOOK).read_text())[SECONDS])
    except (OSError, ValueError, KeyError):
        return 0.0
