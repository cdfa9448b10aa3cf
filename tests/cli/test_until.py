"""``until=``: jobs that follow each other, each of which goes one stage further."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_each_job_goes_on_from_the_one_before(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    words = (*tiny, "scorer=magnitude", "budget.of=parameters")
    made = {
        stage: command(*words, f"until={stage}", store=tmp_path / "store")
        for stage in ("score", "prune", "recover")
    }
    assert {stage: ended.computed for stage, ended in made.items()} == {
        "score": ["score"],
        "prune": ["cost", "prune"],  # a sparsity is of what the dense model has
        "recover": [],  # none is asked for
    }
    for stage, ended in made.items():
        assert any(line.startswith(f"until={stage}: ") for line in ended.err)
        assert not (ended.folder / "report.json").exists()
