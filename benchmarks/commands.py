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
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


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
            "prunelab --help": ("-m", "prunelab", "--help"),
            "the same command again, everything stored": again,
        }
        first = seconds(again)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(asked.rounds):
            for name, call in calls.items():
                times[name].append(seconds(call))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(
        f"load of the machine {load} on {os.cpu_count()} cores; CPU seconds, medians of {asked.rounds} rounds"
    )
    print(f"{'the command, nothing stored':45} {first:7.2f}")
    for name, values in times.items():
        print(f"{name:45} {statistics.median(values):7.2f} [{min(values):.2f}, {max(values):.2f}]")


if __name__ == "__main__":
    main()
