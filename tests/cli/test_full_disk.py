"""A full disk is one line, and so is Ctrl-C; the same command goes on afterwards."""

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
# Stage, the function of it that writes, and the folder that it writes to.
WRITERS = {
    "score": ("prunelab.stages.score.write_tensors", "store"),
    "recover": ("prunelab.stages.recover.write_json", "store"),
    "checkpoint": ("prunelab.engine.checkpoints.os.fsync", "store"),
    "evaluate": ("prunelab.stages.evaluate.write_json", "store"),
    "models": ("os.link", "outputs"),
    "page": ("prunelab.report.report._write", "outputs"),
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
    for stage, (writer, place) in WRITERS.items():
        with monkeypatch.context() as patch:
            patch.setattr(writer, full)
            ended = command(*tiny_trained, store=tmp_path / "store")
        assert (ended.code, ended.out, len(ended.refusals)) == (1, [], 1), stage
        assert ended.refusals[0].startswith(f"prunelab: the disk of {tmp_path / place}"), stage
        assert "is full" in ended.refusals[0]
        assert "free space and run the same command again" in ended.refusals[0]
        assert not any("Traceback" in line for line in ended.err)
        computed.append(ended.computed)
    ends = [stages[-1] for stages in computed if stages]
    assert ends == ["score", "recover", "recover", "evaluate", "evaluate"], "the last one that was tried"
    last = command(*tiny_trained, store=tmp_path / "store")
    assert last.computed == []
    assert last.numbers() == first.numbers()


@pytest.mark.parametrize("folder", ["file/inside", "x" * 300, "/proc/none/inside", "/dev/full/inside"])
def test_a_folder_for_the_output_that_cannot_be_made(
    command: Command, tiny: tuple[str, ...], tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = command("plan", *tiny, f"hydra.run.dir={folder}", store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
    assert folder.partition("/inside")[0][:60] in ended.err[0]
    assert "hydra.run.dir=" in ended.err[0]


def test_an_output_that_takes_no_more_than_a_page(
    command: Command, tiny_trained: tuple[str, ...], first: Any, store: Path
) -> None:
    """Files end at a limit (``ulimit -f``) that the models are beyond and that no file of the store meets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        ended = command(*tiny_trained, "hydra.run.dir=small", store=store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (ended.code, ended.computed, len(ended.refusals)) == (1, [], 1)
    assert f"a file in {store.parent / 'small'}" in ended.refusals[0]
    assert "outgrew what its disk or ulimit -f allows (file too large)" in ended.refusals[0]
    assert "hydra.run.dir=FOLDER" in ended.refusals[0]


@pytest.fixture
def read_only(first: Any, store: Path, tmp_path: Path) -> Iterator[Path]:
    """The store of ``first``, which nobody may write: for root, on a disk that is mounted so."""
    assert first.code == 0
    if os.geteuid():
        shutil.copytree(store, tmp_path / "store")
        folders = [tmp_path / "store", *(tmp_path / "store").rglob("*/")]
        for folder in folders:
            folder.chmod(0o555)
        yield tmp_path / "store"
        for folder in folders:
            folder.chmod(0o755)
        return
    (tmp_path / "store").mkdir()
    if mount("mount", "--bind", str(store), str(tmp_path / "store")):
        pytest.skip("root can write everywhere but on a disk mounted read-only, which is forbidden here")
    assert mount("mount", "-o", "remount,ro,bind", str(tmp_path / "store")) == 0
    yield tmp_path / "store"
    assert mount("umount", "--lazy", str(tmp_path / "store")) == 0


def mount(name: str, *words: str) -> int:
    program = shutil.which(name)
    return 1 if program is None else subprocess.run([program, *words], check=False).returncode


def test_a_store_that_is_read_only_serves_what_it_holds(
    command: Command, tiny_trained: tuple[str, ...], first: Any, read_only: Path
) -> None:
    ended = command(*tiny_trained, store=read_only)
    assert ended.computed == []
    assert ended.numbers() == first.numbers()
    refused = command(*tiny_trained, "recovery.seed=7", store=read_only)
    assert (refused.code, refused.computed, len(refused.refusals)) == (1, [], 1)
    assert f"{read_only} cannot be written" in refused.refusals[0]
    assert "it lacks recover-distill-" in refused.refusals[0]
    assert "set store=FOLDER or PRUNELAB_STORE" in refused.refusals[0]


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Lightning turns a first Ctrl-C into an end of all others; put back what was there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(
    "where",
    ["prunelab.models.pipeline.PipelineModel.decode", "prunelab.stages.score.check_scores"],
)
def test_ctrl_c_ends_with_one_line(
    command: Command, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Inside a Lightning loop and outside of one."""

    def interrupted(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(where, interrupted)
    ended = command(*tiny, "scorer=magnitude", store=tmp_path / "store")
    assert (ended.code, ended.out) == (130, [])
    assert ended.err[-1] == "prunelab: interrupted: run the same command again to resume"
    assert not any("Traceback" in line for line in ended.err)
