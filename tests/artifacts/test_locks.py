"""Locks where the operating system's are not real: a lease, which a killed holder does not keep."""

import errno
import fcntl
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from prunelab.artifacts import Store, locks
from prunelab.artifacts.disk import local_locks

processes = multiprocessing.get_context("fork")
ADDRESS = "score-magnitude-0123456789ab"


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS])
def lockless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(locks, "LEASE", 1.0)


def hold_until_killed(root: Path, told: "multiprocessing.connection.Connection") -> None:
    with Store(root).hold(ADDRESS):
        told.send("held")
        signal.pause()


def killed_holder(root: Path) -> Path:
    """The lease that a holder leaves behind which is killed with -9."""
    here, there = processes.Pipe()
    holder = processes.Process(target=hold_until_killed, args=(root, there))
    holder.start()
    assert here.recv() == "held"
    lease = root / ".locks" / f"{ADDRESS}.lock.lease"
    assert locks.taken(lease.with_suffix(""))
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    assert lease.exists()
    return lease


@pytest.mark.usefixtures("lockless")
def test_the_next_job_goes_on_when_the_holder_was_killed(tmp_path: Path) -> None:
    killed_holder(tmp_path)
    with Store(tmp_path).hold(ADDRESS):
        pass
    assert not locks.taken(tmp_path / ".locks" / f"{ADDRESS}.lock")


@pytest.mark.usefixtures("lockless")
def test_and_within_the_lease_when_that_was_on_another_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose processes nobody here can look at."""
    lease = killed_holder(tmp_path)
    marker = lease.read_text()
    lease.write_text(
        "".join("host=elsewhere\n" if "host=" in line else line for line in marker.splitlines(True))
    )
    with Store(tmp_path).hold(ADDRESS):
        pass
    assert f"waiting for another job that computes {ADDRESS}" in capsys.readouterr().err


@pytest.mark.usefixtures("lockless")
def test_a_living_holder_keeps_its_lease(tmp_path: Path) -> None:
    """For longer than the lease: it shows that it is alive."""
    path = tmp_path / "a.lock"
    with locks.locked(path, "works"):
        watching = locks.SoftFileLease(f"{path}.lease", lease_duration=locks.LEASE)
        with pytest.raises(locks.Timeout):
            watching.acquire(timeout=1.5)
        assert locks.means(tmp_path).startswith("leases")


def test_where_locks_are_real_they_are_used(tmp_path: Path) -> None:
    with locks.locked(tmp_path / "a.lock", "works"):
        assert locks.taken(tmp_path / "a.lock")
        assert not (tmp_path / "a.lock.lease").exists()
        with pytest.raises(locks.Taken), locks.locked(tmp_path / "a.lock", "works", wait=False):
            pass
    assert not locks.taken(tmp_path / "a.lock")
    assert locks.means(tmp_path) == "flock"


@pytest.mark.parametrize(
    ("line", "real"),
    [
        ("host:/a {} nfs4 rw,relatime,local_lock=none 0 0", True),
        ("host:/a {} nfs rw,nolock,local_lock=all 0 0", False),
        ("host:/a {} lustre rw,flock 0 0", True),
        ("host:/a {} lustre rw,localflock 0 0", False),
    ],
)
def test_a_mount_whose_locks_no_other_machine_sees_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, real: bool
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path)
    monkeypatch.setattr(Path, "read_text", lambda *_: line.format(tmp_path))
    assert local_locks(tmp_path / "store") is not real
