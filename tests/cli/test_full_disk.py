"""A full disk is one line, and so is Ctrl-C; the same command goes on afterwards."""

import errno
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
# Stage, and the function of it that writes.
WRITERS = {
    "score": "prunelab.stages.score.write_tensors",
    "recover": "prunelab.stages.recover.write_json",
    "checkpoint": "prunelab.engine.checkpoints.os.fsync",
    "evaluate": "prunelab.stages.evaluate.write_json",
    "models": "shutil.copyfile",
    "page": "prunelab.report.report._write",
}


def full(*arguments: object, **keywords: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk(
    command: Command,
    tiny_trained: tuple[str, ...],
    first: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = []
    for stage, writer in WRITERS.items():
        with monkeypatch.context() as patch:
            patch.setattr(writer, full)
            ended = command(*tiny_trained, store=tmp_path / "store")
        assert (ended.code, ended.out, len(ended.refusals)) == (1, [], 1), stage
        assert "is full" in ended.refusals[0]
        assert "free space and run the same command again" in ended.refusals[0]
        assert not any("Traceback" in line for line in ended.err)
        computed.append(ended.computed)
    ends = [stages[-1] for stages in computed if stages]
    assert ends == ["score", "recover", "recover", "evaluate", "evaluate"], "the last one that was tried"
    last = command(*tiny_trained, store=tmp_path / "store")
    assert last.computed == []
    assert last.numbers() == first.numbers()


def test_a_folder_for_the_output_that_cannot_be_made(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "outputs").write_text("in the way")
    ended = command("plan", *tiny, store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
    assert "hydra.run.dir=FOLDER" in ended.err[0]


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Lightning turns a first Ctrl-C into an end of all others; put back what was there."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(
    "where", ["prunelab.stages.evaluate.Sampling.observe", "prunelab.stages.score.check_scores"]
)
def test_ctrl_c_ends_with_one_line(
    command: Command, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Inside a Lightning loop and outside of one."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    ended = command(*tiny, "scorer=magnitude", store=tmp_path / "store")
    assert (ended.code, ended.out) == (130, [])
    assert ended.err[-1] == "prunelab: interrupted: the same command goes on from here"
    assert not any("Traceback" in line for line in ended.err)
