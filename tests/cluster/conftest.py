"""One SLURM for all tests of this folder, or the reason why there is none."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Absent, Cluster, obtained
from work import Work


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes; jobs find ``prunelab`` beside the interpreter that runs the tests."""
    try:
        obtained()
    except Absent as reason:
        pytest.skip(f"no SLURM here: {reason}")
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    made.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        yield made.open()
    finally:
        made.close()


@pytest.fixture(scope="module")
def work(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A folder for the jobs of a file."""
    return Work(cluster, tmp_path_factory.mktemp("work"))
