"""The scripts of this folder one after another, and in the end one table: what was wanted, what was measured.

    python benchmarks/goals.py ["SCRIPT SETTING ..." ...]

Without scripts, those of `make bench`. Every script notes its rows in a file, through `noted`, that this one
names to it. A row is a number, its range over the rounds, and the bound that it is to keep, if there is one.
A script that ends badly is said in the table, the others run, and the exit code is 1.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "PRUNELAB_BENCH_ROWS"  # where rows are noted; nowhere without it
LINE = "{:74} {:>8}  {:19} {:>10}  {}"
SCRIPTS = (
    "peers.py",
    "recovery.py",
    "channels.py",
    "knapsack.py",
    "commands.py",
    "scaling.py",
    "many_ablations_per_forward.py",
    "checkpointed_sampling.py",
    "real_sizes.py",
    "one_chunk.py",
)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    values: of the rounds; it is their median that counts. least, most: what it is to be; None for no goal.
    """

    name: str
    values: Sequence[float]
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def measured(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def outcome(self) -> str:
        """Whether the goal is reached, and by how much not."""
        if self.least is None and self.most is None:
            return ""
        short = 0.0 if self.least is None else self.least - self.measured
        over = 0.0 if self.most is None else self.measured - self.most
        missed = max(short, over)
        goal = self.most if self.least is None else self.least
        assert goal is not None
        return "reached" if missed <= 0 else f"not reached, by {missed:.2f}{self.unit} ({missed / goal:.0%})"

    def line(self) -> str:
        """As it is printed."""
        low, high = min(self.values), max(self.values)
        goal = (
            f"<= {self.most:.2f}" if self.most is not None else f">= {self.least:.2f}" if self.least else ""
        )
        spread = f"[{low:.2f}, {high:.2f}]"
        return LINE.format(self.name, f"{self.measured:.2f}{self.unit}", spread, goal, self.outcome).rstrip()


def load() -> str:
    """What the machine has to do at the moment, in words."""
    means = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"load of the machine {means} on {os.cpu_count()} cores"


def noted(
    name: str, values: Sequence[float], least: float | None = None, most: float | None = None, unit: str = ""
) -> Row:
    """A row for the table in the end, where one is made; see :class:`Row`."""
    row = Row(name, list(values), least, most, unit)
    file = os.environ.get(FILE)
    if file:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(row)) + "\n")
    return row


def main() -> int:
    """Run the scripts and print the table; 1 where a script ended badly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", default=SCRIPTS, help="of this folder, with their settings")
    asked = parser.parse_args()
    broken, loads, folder = [], [os.getloadavg()[0]], Path(__file__).parent
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place) / "rows"
        rows.touch()
        for script in asked.scripts:
            file, *settings = shlex.split(script)
            print(f"\n{script}", flush=True)
            command = [sys.executable, str(folder / file), *settings]
            if subprocess.run(command, env={**os.environ, FILE: str(rows)}, check=False).returncode:
                broken.append(file)
            loads.append(os.getloadavg()[0])
        found = [Row(**json.loads(line)) for line in rows.read_text(encoding="utf-8").splitlines()]
    print(f"\nload of the machine {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores")
    print(LINE.format("", "measured", "range", "wanted", "").rstrip())
    for row in found:
        print(row.line())
    for script in broken:
        print(f"{script} ended badly: see above")
    return 1 if broken else 0


if __name__ == "__main__" and main():
    sys.exit(1)
