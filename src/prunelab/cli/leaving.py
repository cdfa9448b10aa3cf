"""What a job leaves in its folder and on the screen, whether it was computed or found."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prunelab.artifacts.links import copy_files, link_files
from prunelab.core.screen import SCREEN
from prunelab.report.schema import Row


def keep_model(saved: Path, place: Path, how: str) -> None:
    """A saved model in the job's own folder, as ``keep`` says."""
    if how == "copy":
        copy_files(saved, place)
    elif link_files(saved, place):
        SCREEN.tell(f"{place} holds symbolic links into the store: keep=copy makes it stand alone")


def command() -> str:
    """The command line as the user wrote it."""
    job, *words = [word for word in sys.argv[1:] if word.startswith("job=")] + [
        word for word in sys.argv[1:] if not word.startswith(("job=", "hydra."))
    ]
    return " ".join(["prunelab", job.removeprefix("job="), *words])


def show(rows: Sequence[Row], page: Path) -> None:
    """The table on the screen, and where the page is."""
    if SCREEN.quiet:
        return
    from rich.console import Console

    from prunelab.report import terminal_table

    Console(stderr=True).print(terminal_table(rows))
    print(f"report: {page}", file=sys.stderr)  # a console would break a long path in two
