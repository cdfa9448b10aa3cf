"""A store of many users: a group fills it together, and who may only read it is served what it holds."""

import multiprocessing
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prunelab.artifacts import Store, address
from prunelab.core.errors import Refusal

processes = multiprocessing.get_context("fork")
FIRST, SECOND, STRANGER = 31001, 31002, 31003  # users without an account
GROUP = 31010
ADDRESS, OTHER = address("score", "magnitude", 1, seed=0), address("score", "magnitude", 1, seed=1)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder of a group, below none that only its owner may enter (tmp_path is)."""
    folder = Path(tempfile.mkdtemp(prefix="prunelab-group-"))
    os.chown(folder, 0, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(folder)


def acting_as(user: int, umask: int, act: Callable[[], None]) -> str:
    """Run ``act`` in a process of its own as another user; what it raised, as text, else nothing."""
    said, say = processes.Pipe(duplex=False)

    def run() -> None:
        os.setgroups([GROUP] if user != STRANGER else [])
        os.setgid(user)
        os.setuid(user)
        os.umask(umask)
        try:
            act()
            say.send("")
        except (OSError, Refusal, AssertionError) as error:
            say.send(f"{type(error).__name__}: {error}")

    process = processes.Process(target=run)
    process.start()
    text: str = said.recv()
    process.join()
    return text


def compute(root: Path, made: str = ADDRESS, text: str = "scores") -> None:
    """What a stage does, and how far it had come before."""
    store = Store(root)
    if store.valid(made):
        return
    with store.hold(made):
        store.make_way(made)
        partial = store.partial(made)
        (partial / "checkpoints").mkdir(exist_ok=True)
        (partial / "checkpoints" / f"of-{os.geteuid()}").write_text("half")
        folder = partial / "result"
        folder.mkdir()
        save_file({"a": torch.zeros(2)}, folder / "scores.safetensors")
        (folder / "scores.json").write_text(text)
        store.commit(made, folder, {"seed": 0})


def killed(root: Path) -> None:
    """A job that leaves its lock file and half of its work."""
    store = Store(root)
    with store.hold(ADDRESS):
        inner = store.partial(ADDRESS) / "checkpoints"
        inner.mkdir()
        (inner / "step-1").write_text("half")


def read(root: Path, made: str = ADDRESS) -> None:
    assert Store(root).valid(made)
    assert all(path.read_bytes() is not None for path in Store(root).path(made).iterdir())


@needs_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_one_member_made_another_reads_and_replaces(root: Path, umask: int) -> None:
    assert acting_as(FIRST, umask, lambda: compute(root)) == ""
    assert acting_as(SECOND, umask, lambda: read(root)) == ""
    (root / ADDRESS / "scores.json").write_text("damaged")
    assert acting_as(SECOND, umask, lambda: compute(root, text="again")) == ""
    assert (root / ADDRESS / "scores.json").read_text() == "again"
    assert acting_as(FIRST, umask, lambda: compute(root, OTHER)) == ""
    assert acting_as(SECOND, umask, lambda: Store(root).discard(OTHER)) == ""
    assert list((root / ".discarded").iterdir()) == []


@needs_root
def test_a_member_goes_on_where_another_was_killed(root: Path) -> None:
    assert acting_as(FIRST, 0o022, lambda: killed(root)) == ""
    assert (root / ".locks" / f"{ADDRESS}.lock").stat().st_uid == FIRST
    assert acting_as(SECOND, 0o022, lambda: compute(root)) == ""
    assert list((root / ".partial").iterdir()) == []


@needs_root
def test_a_stranger_reads_what_is_there_and_is_told_what_is_not(root: Path) -> None:
    assert acting_as(FIRST, 0o022, lambda: compute(root)) == ""
    assert acting_as(STRANGER, 0o022, lambda: read(root)) == ""
    refused = acting_as(STRANGER, 0o022, lambda: compute(root, OTHER))
    assert refused.startswith(f"Refusal: {root} cannot be written")
    assert f"it lacks {OTHER}; set store=FOLDER or PRUNELAB_STORE" in refused
    assert "\n" not in refused
    assert not list((root / ".partial").iterdir())


@needs_root
def test_a_lock_file_that_may_not_be_opened_is_one_line(root: Path) -> None:
    """One of an earlier version, made under a umask that kept the group out."""
    (root / ".locks").mkdir()
    lock = root / ".locks" / f"{ADDRESS}.lock"
    lock.touch(0o644)
    refused = acting_as(SECOND, 0o022, lambda: compute(root))
    assert refused.startswith("Refusal: ")
    assert f"{lock}: permission denied" in refused
    lock.chmod(0o664)
    os.chown(lock, FIRST, GROUP)
    (root / ".locks").chmod(0o2775)
    assert acting_as(SECOND, 0o022, lambda: compute(root)) == ""


@needs_root
def test_what_may_not_be_replaced_is_refused_before_the_work(root: Path) -> None:
    root.chmod(0o3775)  # sticky: members may not touch each other's
    for folder in (".locks", ".partial", ".discarded"):
        (root / folder).mkdir()
        os.chown(root / folder, 0, GROUP)
        (root / folder).chmod(0o2775)
    (root / ADDRESS).mkdir()
    (root / ADDRESS / "artifact.json").write_text("{}")
    refused = acting_as(SECOND, 0o022, lambda: compute(root))
    assert refused.startswith(f"Refusal: {root} cannot be written")
    assert not list((root / ".partial").iterdir())


def test_an_owner_s_store_follows_the_umask(tmp_path: Path) -> None:
    """safetensors keeps its files to the owner: a reader of the store could not have them."""
    before = os.umask(0o022)
    try:
        compute(tmp_path / "store")
    finally:
        assert os.umask(before) == 0o022
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store" / ADDRESS).iterdir()
    }
    assert modes == dict.fromkeys(("artifact.json", "scores.json", "scores.safetensors"), 0o644)


def hold_for_a_while(root: Path) -> None:
    with Store(root).hold(ADDRESS):
        (root / "held").touch()
        time.sleep(30)


def test_what_is_stored_is_read_although_another_holds_it(tmp_path: Path) -> None:
    compute(tmp_path)
    holder = processes.Process(target=hold_for_a_while, args=(tmp_path,))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    compute(tmp_path)
    holder.kill()
    holder.join()
