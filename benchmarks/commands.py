"""What the command line costs before it computes anything: help, and a command whose results are all stored.

    python benchmarks/commands.py [--rounds 3] [WORD ...]

The words are those of the command (`experiment=demo` without any). It runs once to fill a store, then
again and again, in turn with `--help` and with a bare import of torch and diffusers. What is printed are CPU
seconds of the whole process: the median of the rounds and their range.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from goals import load, noted

NOTHING, HELP, AGAIN = (
    "the command, nothing stored",
    "prunelab --help",
    "the same command again, everything stored",
)
WANTED = {HELP: 0.5, AGAIN: 5.0}  # CPU seconds, of the demo


def seconds(arguments: Sequence[str]) -> float:
    """User and system time of one process, which must end well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run")
    parser.add_argument("words", nargs="*", help="of the command")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        store = (f"store={place / 'store'}", f"hydra.run.dir={place / 'out'}", "logger=none")
        again = ("-m", "prunelab", *(asked.words or ["experiment=demo"]), *store)
        calls = {
            "import torch, diffusers": ("-c", "import torch, diffusers"),
            HELP: ("-m", "prunelab", "--help"),
            AGAIN: again,
        }
        first = seconds(again)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(asked.rounds):
            for name, call in calls.items():
                times[name].append(seconds(call))
    print(f"{load()}; CPU seconds, medians of {asked.rounds} rounds")
    demo = not asked.words  # whose seconds have a goal
    print(noted(NOTHING, [first], most=100.0 if demo else None, unit=" s").line())
    for name, values in times.items():
        print(noted(name, values, most=WANTED.get(name) if demo else None, unit=" s").line())


if __name__ == "__main__":
    main()
