"""Standard error: how much is said there, and how many of a job's stages have begun.

The command line sets it once per job; a program that sets nothing hears what a command line would say.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Screen:
    """quiet: only warnings and refusals. verbose: every step, and what libraries say. total: of stages.

    noted: in order, what a job says of which everything is stored: ``(stage, address)`` of what it reads, and
    ``("", line)`` of a warning. aside: whether there were warnings beside these, of computations.
    """

    quiet: bool = False
    verbose: bool = False
    total: int | None = None
    begun: set[str] = field(default_factory=set)
    noted: list[tuple[str, str]] = field(default_factory=list)
    aside: bool = False
    _computations: int = 0

    def set(self, quiet: bool = False, verbose: bool = False, total: int | None = None) -> None:
        """Start anew, as for a job of ``total`` stages."""
        self.quiet, self.verbose, self.total = quiet, verbose, total
        self.begun.clear()
        self.noted.clear()
        self.aside = False

    def begin(self, stage: str, address: str) -> None:
        """The ``stage`` that makes the artifact at ``address`` begins, or is read from the store."""
        self.begun.add(address)
        if not self._computations:
            self.noted.append((stage, address))

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Inside, what is begun and said is of a computation: where its result is stored it is not."""
        self._computations += 1
        try:
            yield
        finally:
            self._computations -= 1

    def place(self) -> str:
        """``stage 3 of 17``; empty where the number of stages is not known."""
        return f"stage {self.number()} of {self.all()}" if self.total else ""

    def number(self) -> int:
        """The number of the stage that is running, from 1; 0 before the first."""
        return len(self.begun)

    def all(self) -> int:
        """How many stages there will be."""
        return max(self.total or 0, self.number())

    def tell(self, line: str) -> None:
        """A line for who watches."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def stored(self, stage: str, address: str) -> None:
        """The result of a stage is there."""
        self.tell(f"{stage}: {address} is in the store")

    def warn(self, line: str) -> None:
        """A line that stands there however quiet the screen is."""
        print(line, file=sys.stderr, flush=True)
        if self._computations:
            self.aside = True
        else:
            self.noted.append(("", line))


SCREEN = Screen()
