"""What ``test_ranks.py`` runs in two processes: command lines one after the other, as srun would start them.

Usage: ``two_ranks.py LINES``, LINES a JSON list of [how far, words].
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from omegaconf import DictConfig

from prunelab.cli import assembly, jobs, main
from prunelab.stages import run as running


def as_far_as_pruned(config: DictConfig, folder: Path) -> None:
    """The job ``run`` without recovery and evaluation."""
    bench, request = assembly.bench(config), assembly.request(config)
    request = running.fitted(request, bench.model)
    running.pruned(bench, request, running.check(bench, request))


@contextlib.contextmanager
def as_far_as(far: str) -> Iterator[None]:
    """Inside the context the job ``run`` goes as far as said: to the pruned model, or to the report."""
    with mock.patch.object(jobs, "run", {"pruned": as_far_as_pruned, "report": jobs.run}[far]):
        yield


if __name__ == "__main__":
    for far, words in json.loads(sys.argv[1]):
        sys.argv = ["prunelab", *words]
        with as_far_as(far):
            try:
                main()
            except SystemExit as stop:
                if stop.code:
                    raise
