"""Whatever happens to W&B, the run goes on and its own message is the only one of its kind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb
from wandb.sdk.mailbox import MailboxClosedError

import prunelab.tracking.wandb as tracking
from prunelab.core.errors import Refusal
from prunelab.tracking import wandb_service
from prunelab.tracking.silent import SilentRun
from prunelab.tracking.wandb import WandbTracker
from prunelab.tracking.wandb_run import WandbRun

KEY = "0123456789" * 4
Captured = pytest.CaptureFixture[str]
STAGE: tuple[str, dict[str, object], dict[str, str], str] = ("score", {}, {}, "score-1")


def tell_service(number: int) -> None:
    """Send wandb's background process a signal."""
    process = wandb_service._process()
    assert process is not None
    os.kill(process.pid, number)
    if number == signal.SIGKILL:
        process.wait()


def told(captured: Captured) -> list[str]:
    """The lines on standard error since the last look."""
    return captured.readouterr().err.splitlines()


def written(folder: Path) -> int:
    """How many runs there are on the disk."""
    return len(list((folder / "wandb").glob("offline-run-*")))


@pytest.mark.parametrize(
    "stop", [Refusal("one line"), KeyboardInterrupt(), SystemExit(143), ZeroDivisionError()], ids=repr
)
def test_what_ends_a_stage_passes_through_unseen(
    tmp_path: Path, stop: BaseException, capfd: Captured
) -> None:
    tracker = WandbTracker("prunelab", None, tmp_path)
    with pytest.raises(type(stop)) as caught, tracker.stage(*STAGE):
        raise stop
    assert caught.value is stop
    assert told(capfd) == []


def test_python_ends_and_shows_errors_as_before(tmp_path: Path) -> None:
    before = sys.exit, sys.excepthook
    with WandbTracker("prunelab", None, tmp_path).stage(*STAGE):
        assert (sys.exit, sys.excepthook) == before


def killed_before(tracker: WandbTracker) -> None:
    with tracker.stage(*STAGE):
        pass
    tell_service(signal.SIGKILL)
    with tracker.stage(*STAGE) as run:
        run.log({"loss": 1.0})


def killed_inside(tracker: WandbTracker) -> None:
    with tracker.stage(*STAGE) as run:
        tell_service(signal.SIGKILL)
        for step in range(3):
            run.log({"loss": 1.0}, step=step)
        run.table("scores", ["unit"], [["a"]])


def killed_at_the_end(tracker: WandbTracker) -> None:
    with tracker.stage(*STAGE):
        tell_service(signal.SIGKILL)


def hung(tracker: WandbTracker) -> None:
    with tracker.stage(*STAGE):
        tell_service(signal.SIGSTOP)


@pytest.mark.parametrize("job", [killed_before, killed_inside, killed_at_the_end, hung])
def test_a_dead_service_is_one_line_and_a_later_stage_is_logged(
    tmp_path: Path, job: Callable[[WandbTracker], None], capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_service, "STUCK_SECONDS", 0.5 if job is hung else 30.0)
    monkeypatch.setattr(tracking, "UPLOAD_SECONDS", 0.1)
    tracker = WandbTracker("prunelab", None, tmp_path)
    job(tracker)
    (line,) = told(capfd)
    assert line.startswith("W&B failed (")
    monkeypatch.setattr(wandb_service, "STUCK_SECONDS", 30.0)
    before = written(tmp_path)
    with tracker.stage(*STAGE) as run:
        assert isinstance(run, WandbRun)
    assert (written(tmp_path), told(capfd)) == (before + 1, [])


def test_a_refusal_beside_a_dead_service_is_still_the_run_s(tmp_path: Path, capfd: Captured) -> None:
    tracker = WandbTracker("prunelab", None, tmp_path)

    def refused() -> None:
        with tracker.stage(*STAGE):
            tell_service(signal.SIGKILL)
            raise Refusal("one line")

    with pytest.raises(Refusal, match="one line"):
        refused()
    assert len(told(capfd)) == 1


def test_a_service_that_dies_last_leaves_the_exit_code_alone(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from prunelab.tracking import wandb, wandb_service\n"
        "with wandb.WandbTracker('prunelab', None, sys.argv[1]).stage('score', {}, {}, 'score-1'):\n"
        "    pass\n"
        "wandb_service._process().kill()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "error", [MailboxClosedError(), BrokenPipeError(), wandb.Error(KEY), ValueError(KEY), AssertionError()]
)
def test_a_log_that_raises_is_the_last(error: Exception) -> None:
    asked, lost = [], []

    class Broken:
        def log(self, *_: object, **__: object) -> None:
            asked.append("log")
            raise error

        def finish(self, exit_code: int) -> None:
            asked.append(f"finish {exit_code}")

    run = WandbRun(Broken(), lost.append)
    for step in range(3):
        run.log({"loss": 1.0}, step=step)
    assert (asked, lost) == (["log", "finish 1"], [error])


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_run_that_does_not_open_is_no_run(
    tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch, mode: tracking.Mode
) -> None:
    def init(**_: object) -> None:
        raise RuntimeError(KEY)

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb, "init", init)
    tracker = WandbTracker("prunelab", None, tmp_path, mode=mode)
    lines = []
    for _ in range(3):
        with tracker.stage(*STAGE) as run:
            assert isinstance(run, SilentRun)
        lines.append(told(capfd))
    assert [len(each) for each in lines] == [1 + (mode == "online"), 1, 0]
    assert KEY not in str(lines)


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path, capfd: Captured) -> None:
    (tmp_path / "file").write_text("")
    with WandbTracker("prunelab", None, tmp_path / "file" / "folder").stage(*STAGE) as run:
        assert isinstance(run, SilentRun)
    assert len(told(capfd)) == 1


@pytest.mark.parametrize("name", ["WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"])
def test_folders_of_wandb_s_own_that_cannot_be_do_not_matter(
    tmp_path: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(name, str(tmp_path / "file" / "folder"))
    with WandbTracker("prunelab", None, tmp_path).stage(*STAGE) as run:
        run.log({"loss": 1.0})
    assert (written(tmp_path), told(capfd)) == (1, [])


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("WANDB_MODE", "sometimes", "WANDB_MODE: Input should be 'online'"),
        ("WANDB_BASE_URL", "no address", "WANDB_BASE_URL"),
        ("WANDB_BASE_URL", "http://me:my-password@wandb.ai", "WANDB_BASE_URL"),
        ("WANDB_INIT_TIMEOUT", "soon", "WANDB_INIT_TIMEOUT"),
        ("WANDB_SILENT", "perhaps", "WANDB_SILENT"),
        ("WANDB_TAGS", ",", "its setting run_tags"),
        ("WANDB_API_KEY", f" {KEY}", "API key"),
        ("WANDB_PROJECT", "a/b", "project"),
    ],
)
def test_settings_that_wandb_cannot_read_are_refused_before_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Refusal, match="or use logger=none") as refusal:
        WandbTracker("prunelab", None, tmp_path)
    line = str(refusal.value)
    assert named in line
    assert not [secret for secret in (KEY, "my-password", "\n") if secret in line]


def test_a_mode_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"logger.mode=sometimes.*online, offline or disabled"):
        WandbTracker("prunelab", None, tmp_path, mode="sometimes")
