"""How a process ends that is told to stop: small ones, each where a signal is hard to hear."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prunelab.artifacts import Store

AROUND = """
import ctypes, os, signal, sys, threading, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)  # a shell without job control ignores some for what it starts
from prunelab.core import stopping
{before}
def main():
{body}

with stopping.watched({settings}) as watch:
    try:
        main()
    except stopping.Stopped:
        watch.over = True
if watch.told:
    stopping.say(watch.told)
    sys.exit(128 + watch.told)
"""
TELL = "os.kill(os.getpid(), signal.SIGTERM)"
# What glibc takes for a fresh mutex; the second lock waits for ever and is not woken by signals.
DEADLOCK = "mutex = ctypes.create_string_buffer(64); lock = ctypes.CDLL(None).pthread_mutex_lock; lock(mutex)"
FOR_EVER = "while True: time.sleep(1)"
TERMINATED = 128 + signal.SIGTERM
LINE = "prunelab: stopped by SIGTERM: run the same command again to resume\n"


def ended(*lines: str, settings: str = "", before: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process that runs the lines while it is watched."""
    body = "\n".join(f"    {line}" for line in lines)
    code = AROUND.format(body=body, settings=settings, before=before)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    return result.returncode, result.stdout, result.stderr


def test_a_signal_ends_what_waits() -> None:
    assert ended(TELL, FOR_EVER) == (TERMINATED, "", LINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR2])
def test_ctrl_c_a_closed_terminal_and_schedulers_are_heard_too(number: signal.Signals) -> None:
    code, _, err = ended(f"os.kill(os.getpid(), {number.value})", FOR_EVER)
    assert code == 128 + number
    why = "(interrupted|stopped by SIG(HUP|USR2))"
    assert re.fullmatch(rf"prunelab: {why}: run the same command again to resume\n", err)


def test_a_job_that_waits_for_another_ends(tmp_path: Path) -> None:
    tell = f"time.sleep = lambda seconds: {TELL}"  # between two looks at the lock
    wait = f"from prunelab.artifacts import Store; Store({str(tmp_path)!r}).hold('a').__enter__()"
    with Store(tmp_path).hold("a"):
        code, _, err = ended(tell, wait)
    assert (code, err) == (TERMINATED, f"waiting for another job that computes a\n{LINE}")


def test_what_defers_it_comes_to_its_end_first() -> None:
    lines = ("with stopping.deferred():", f"    {TELL}", "    print(stopping.told())", "print('not reached')")
    assert ended(*lines) == (TERMINATED, "15\n", LINE)


@pytest.mark.parametrize("block", ["if True:", "with stopping.deferred():"])
def test_a_call_that_does_not_return_is_ended(block: str) -> None:
    lines = ("stopping.GRACE = 0.1", DEADLOCK, f"threading.Timer(0.5, lambda: {TELL}).start()")
    assert ended(*lines, block, "    lock(mutex)") == (TERMINATED, "", LINE)


def test_what_needs_longer_gets_longer() -> None:
    lines = ("stopping.GRACE = 0.1", "with stopping.deferred(), stopping.unhurried():")
    assert ended(*lines, f"    {TELL}", "    time.sleep(1.5)", "    print('saved')")[1] == "saved\n"


def test_a_second_signal_ends_at_once() -> None:
    lines = ("stopping.REPEAT = 0", "with stopping.deferred(), stopping.unhurried():", f"    {TELL}")
    assert ended(*lines, "    time.sleep(0.2)", f"    {TELL}", f"    {FOR_EVER}") == (TERMINATED, "", LINE)


def test_one_that_a_launcher_sends_once_more_does_not() -> None:
    lines = ("with stopping.deferred():", f"    {TELL}", "    time.sleep(0.2)", f"    {TELL}")
    assert ended(*lines, "    time.sleep(0.5)", "    print('saved')") == (TERMINATED, "saved\n", LINE)


def test_one_that_python_drops_comes_again() -> None:
    """What a finaliser raises is printed and forgotten; imports run such code."""
    lines = ("class Last:", "    def __del__(self): " + TELL, "last = Last()", "del last", FOR_EVER)
    code, _, err = ended(*lines)
    assert code == TERMINATED
    assert err.endswith(LINE)


@pytest.mark.parametrize("place", [FOR_EVER, f"with stopping.deferred(): {DEADLOCK}; lock(mutex)"])
def test_a_process_whose_parent_is_gone_ends(place: str) -> None:
    assert ended("stopping.GRACE = 0.1", place, settings="parent=-1, silent=True")[0] == TERMINATED


def test_an_ignored_signal_stays_ignored() -> None:
    """As SIGHUP is under nohup."""
    lines = (f"os.kill(os.getpid(), {signal.SIGHUP.value})", "print(watch.told, len(stopping.listening()))")
    assert ended(*lines, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)") == (0, "0 4\n", "")


def test_a_fork_is_not_watched() -> None:
    """Its signals are its own: they neither stop the parent nor count as its second."""
    lines = ("child = os.fork()", "if not child:", f"    {TELL}", "    os._exit(0)")
    wait = "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), watch.told)"
    assert ended(*lines, wait, "time.sleep(0.6)") == (0, "-15 0\n", "")
