"""Standard error: how much is said there, and how many of a job's stages have begun.

The command line sets it once per job; a program that sets nothing hears what a command line would say.
"""

import sys
from dataclasses import dataclass, field


@dataclass
class Screen:
    """quiet: only warnings and refusals. verbose: every step, and what libraries say. total: of stages."""

    quiet: bool = False
    verbose: bool = False
    total: int | None = None
    begun: set[str] = field(default_factory=set)

    def set(self, quiet: bool = False, verbose: bool = False, total: int | None = None) -> None:
        """Start anew, as for a job of ``total`` stages."""
        self.quiet, self.verbose, self.total = quiet, verbose, total
        self.begun.clear()

    def begin(self, address: str) -> None:
        """The stage that makes the artifact at ``address`` begins, or is read from the store."""
        self.begun.add(address)

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


SCREEN = Screen()
