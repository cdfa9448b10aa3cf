"""The addresses that every stage has in the experiments' tests, as ``known_addresses.json`` keeps them.

What a store holds is found by its address: one that moves by itself makes every store forget. After a
change that is meant to move some, and has raised the versions of their stages, the file is written anew by::

    WRITE_ADDRESSES=1 pytest -q tests/cli/test_experiments.py

Without xdist, whose workers would write it one over the other. A job that the file lacks is not compared.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
OF_A_MACHINE = {"time", "timetable"}  # their addresses name the hardware

Asked = tuple[str, int, str]  # stage, version, address


def kept() -> dict[str, list[list[object]]]:
    """The addresses by job: ``EXPERIMENT TASK``."""
    found: dict[str, list[list[object]]] = json.loads(FILE.read_text("utf-8"))
    return found


def moved(job: str, asked: Sequence[Asked]) -> str:
    """What is to be said of the addresses of a job that are not as kept; nothing where all are.

    asked: in the order of the stages, so that parents come before what is made from them.
    """
    now = [list(each) for each in dict.fromkeys(asked) if each[0] not in OF_A_MACHINE]
    if os.environ.get("WRITE_ADDRESSES"):
        lines = (
            f"{json.dumps(name)}: {json.dumps(each)}" for name, each in sorted({**kept(), job: now}.items())
        )
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return ""
    return described(kept()[job], now) if job in kept() else ""


def described(old: Sequence[Sequence[object]], now: Sequence[Sequence[object]]) -> str:
    """The first address that moved: those after it may have moved because of it."""
    known = {tuple(each) for each in old}
    new = next((each for each in now if tuple(each) not in known), None)
    if new is None:
        return "" if len(now) == len(old) else f"{len(old) - len(now)} addresses are no longer asked for"
    stage, version, address = new
    versions = {each[1] for each in old if each[0] == stage}
    if versions and version not in versions:
        return f"{address} has a new version, as it should: write the addresses anew, see {__name__}.py"
    return (
        f"{address} has an address that no store knows, and the version of its stage is {version} as before: "
        "results that are stored are lost to every user. Leave the inputs of the stage as they were, or "
        f"raise its VERSION where its results change, and write the addresses anew, see {__name__}.py"
    )
