"""Told to stop: how SIGTERM, Ctrl-C and SIGHUP end a job within seconds, at a point from which it goes on.

So do SIGUSR1 and SIGUSR2, by which schedulers say beforehand that a job's time runs out or that it has to
make room: who started the job knows by its exit code that it is to be started again.

The handler raises :class:`Stopped` in the main thread, wherever that is: what is half done is never taken for
whole, so any place will do. A training says where it would rather be stopped (:func:`deferred`), looks at
:func:`told` after every step and saves itself first.

A handler of Python's runs between two bytecodes only, so a thread watches as well, woken by the signal
itself: it ends a process that has not ended GRACE seconds later (a long call into C, a collective whose
partner hangs), one that is told again, and one whose parent has died.
"""

import atexit
import os
import select
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

SCHEDULERS = (signal.SIGUSR1, signal.SIGUSR2)
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, *SCHEDULERS)
GRACE = 15.0  # seconds from the signal to the end; schedulers and torch's launcher kill after 30
REPEAT = 3.0  # a signal within so many seconds is the first one, come a second time by way of a launcher
PULSE = 0.5  # seconds between two looks at the parent and the clock


class Stopped(SystemExit):
    """A signal, ``number``, has told the process to stop; the exit code is the one that shells expect."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class Watch:
    """What is known of the signals to this process, and the thread that sees to its end.

    parent: the process without which this one has nothing to do, or None. silent: whether another process
    says why this one ends.
    """

    def __init__(self, parent: int | None, silent: bool) -> None:
        self.parent, self.silent = parent, silent
        self.told = 0  # the number of the signal; 0 while there was none
        self.heard: float | None = None  # when the first signal came
        self.deferred = self.unhurried = self.over = False
        self._alone = False
        self._raised: weakref.ref[Stopped] | None = None
        self._end, self._start = os.pipe()
        os.set_blocking(self._start, False)
        self._before: dict[int, Any] = {}
        self._wakeup = -1

    def open(self) -> None:
        """Take over the signals that are not ignored (as under nohup), and start to watch."""
        handlers = {number: signal.getsignal(number) for number in NUMBERS}
        self._before = {number: old for number, old in handlers.items() if old is not signal.SIG_IGN}
        self._wakeup = signal.set_wakeup_fd(self._start, warn_on_full_buffer=False)
        self.take()
        threading.Thread(target=self._look, name="stopping", daemon=True).start()

    def take(self) -> None:
        """Handle the signals here, whoever has done so meanwhile."""
        for number in self._before:
            signal.signal(number, self._handle)

    def close(self) -> None:
        """Leave the signals to who had them before."""
        self.over = True
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self) -> NoReturn:
        """Raise Stopped, remembering that it was raised."""
        stopped = Stopped(self.told)
        self._raised = weakref.ref(stopped)
        try:
            raise stopped
        finally:
            del stopped  # the traceback holds this frame: the exception must not hold itself

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = self.told and not self._lost()
        self.told = self.told or number
        if not (again or self.deferred or self.over):
            self.stop()

    def _lost(self) -> bool:
        """Whether Stopped was raised where nothing can be: Python drops what a finaliser raises."""
        return self._raised is not None and self._raised() is None

    def _look(self) -> None:
        """The thread: until the watch is closed."""
        while not self.over:
            ready, _, _ = select.select([self._end], [], [], PULSE)
            for number in os.read(self._end, 64) if ready else b"":
                if number in self._before:
                    self._hear(number)
            self._check_parent()
            self._check_clock()
        os.close(self._end)
        os.close(self._start)

    def _hear(self, number: int) -> None:
        now = time.monotonic()
        if self.heard is None:
            self.heard, self._number = now, number
        elif now - self.heard > REPEAT:
            self._leave()

    def _check_parent(self) -> None:
        """Without the parent: stop as if told to, or at once if that was said before.

        Asked for again and again, as that works on every POSIX system: PR_SET_PDEATHSIG fires when the
        forking thread ends, and a pipe would have to pass through torch's launcher, which closes it.
        """
        if self.parent is None or os.getppid() == self.parent or self._alone:
            return
        if self.heard is not None:
            self._leave()
        self._alone = True
        os.kill(os.getpid(), signal.SIGTERM)

    def _check_clock(self) -> None:
        if self.heard is None or self.unhurried:
            return
        if time.monotonic() - self.heard > GRACE:
            self._leave()
        if self._lost() and not self.over:
            signal.pthread_kill(threading.main_thread().ident or 0, self._number)

    def _leave(self) -> None:
        """End this process here and now."""
        if not self.silent:
            say(self._number)
        os._exit(128 + self._number)


_watch: Watch | None = None
_code: int | None = None  # of a process that has to end


@contextmanager
def watched(parent: int | None = None, silent: bool = False) -> Iterator[Watch]:
    """Inside the block, of the main thread, signals stop the process as this file says."""
    global _watch  # noqa: PLW0603  # signals belong to the process
    before, _watch = _watch, Watch(parent, silent)
    _watch.open()
    try:
        yield _watch
    finally:
        _watch.close()
        _watch = before


@contextmanager
def deferred() -> Iterator[None]:
    """Inside the block a signal waits for who looks at ``told``, or for the end of the block."""
    if _watch is None:
        yield
        return
    _watch.deferred = True
    try:
        yield
    finally:
        _watch.deferred = False
    check()


@contextmanager
def unhurried() -> Iterator[None]:
    """Inside the block, what a signal asks for may take longer than GRACE: it has an end of its own."""
    if _watch is None:
        yield
        return
    _watch.unhurried = True
    try:
        yield
    finally:
        if _watch.heard is not None:
            _watch.heard = time.monotonic()
        _watch.unhurried = False


def told() -> int:
    """The number of the signal that told this process to stop; 0 if none did."""
    return _watch.told if _watch is not None else 0


def check() -> None:
    """Raise Stopped if this process was told to stop."""
    if _watch is not None and _watch.told:
        _watch.stop()


def stop(number: int) -> NoReturn:
    """Raise Stopped for a signal that came to this process or to another one of the job."""
    if _watch is None:
        raise Stopped(number)
    _watch.told = _watch.told or number
    _watch.stop()


def take() -> None:
    """Take the signals back from a library that has put handlers of its own in the place of these."""
    if _watch is not None:
        _watch.take()


def listening() -> list[signal.Signals]:
    """The signals that stop this process: not those that are ignored, as SIGHUP under nohup."""
    return [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]


def end_within(seconds: float, code: int) -> None:
    """See that this process ends with ``code``, whatever libraries do at exit and after it.

    A process group that has lost a member hangs in its destructor, when no thread of Python's runs any more.
    """
    global _code  # noqa: PLW0603
    _code = code
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def say(number: int) -> None:
    """The one line about a stop, on standard error if that is still there."""
    cause = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    with suppress(OSError):
        print(f"prunelab: {cause}: run the same command again to resume", file=sys.stderr, flush=True)


def _forked() -> None:
    """A fork has no thread that watches, and must not speak into its parent's pipe."""
    global _watch  # noqa: PLW0603
    if _watch is not None:
        _watch.close()
        _watch = None


os.register_at_fork(after_in_child=_forked)


def _last() -> None:
    """The end of a process that has to end; registered before those of the libraries, so run after them."""
    if _code is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(_code)


atexit.register(_last)
