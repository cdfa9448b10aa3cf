"""``prunelab store``: what is there, whether it is whole, and what can go."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.artifacts import Store

Command = Callable[..., Any]
DENSE, SCORE, PRUNED, OTHER = (
    f"{stage}-name-{number:012x}"
    for number, stage in enumerate(["dense", "score", "prune", "prune"], start=1)
)
INPUTS = {DENSE: {}, SCORE: {}, PRUNED: {"scores": SCORE}, OTHER: {"scores": SCORE}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    for number, (name, inputs) in enumerate(INPUTS.items(), start=1):
        folder = made.partial(name) / "result"
        folder.mkdir()
        (folder / "content.bin").write_bytes(bytes(10_000 * number))
        made.commit(name, folder, inputs)
    return made


def left(store: Store) -> list[str]:
    return [name for name in INPUTS if store.path(name).exists()]


def test_it_is_listed_and_measured(command: Command, store: Store) -> None:
    summary = command("store", f"store={store.root}", store=store.root)
    assert [line.split() for line in summary.out[:4]] == [
        ["dense", "1", *summary.out[0].split()[2:]],
        ["prune", "2", *summary.out[1].split()[2:]],
        ["score", "1", *summary.out[2].split()[2:]],
        ["in", "all", "4", *summary.out[3].split()[3:]],
    ]
    assert summary.out[-1].endswith("locks: flock")
    listed = command("store", "list", store=store.root)
    assert [line.split()[4] for line in listed.out[:-1]] == [OTHER, PRUNED, SCORE, DENSE]
    assert "torch" in listed.out[0]


def test_what_is_broken_is_named(command: Command, store: Store) -> None:
    assert command("store", "verify", store=store.root).out == ["4 of 4 artifacts are whole"]
    (store.path(SCORE) / "content.bin").write_bytes(bytes(20_000 - 1) + b"1")
    ended = command("store", "verify", store=store.root)
    assert (ended.code, len(ended.out)) == (1, 2)
    assert ended.out[0].startswith(f"broken: {SCORE}")


def test_what_no_report_rests_on_goes_when_it_is_told_to(command: Command, store: Store) -> None:
    folder = store.root.parent / "outputs"
    folder.mkdir()
    rows = [{"address": DENSE}, {"address": PRUNED}]
    (folder / "report.json").write_text(json.dumps({"rows": rows}))
    words = ("store", "prune", f"reports={folder}")
    told = command(*words, store=store.root)
    assert (told.code, left(store)) == (0, [*INPUTS])
    assert told.out[0].split()[-1] == OTHER
    assert told.out[-1].endswith("would go: add yes=true")
    assert command(*words, "older_than=1", "yes=true", store=store.root).out[0].startswith("0 artifacts")
    assert command(*words, "yes=true", store=store.root).code == 0
    assert left(store) == [DENSE, SCORE, PRUNED]


def test_by_size_and_leftovers(command: Command, store: Store) -> None:
    (store.partial(PRUNED) / "checkpoint").write_bytes(bytes(10))
    command("store", "prune", "larger_than=25kB", "yes=true", store=store.root)
    assert left(store) == [DENSE, SCORE]
    command("store", "prune", "leftovers=true", "yes=true", store=store.root)
    assert left(store) == [DENSE, SCORE]
    assert not (store.root / ".partial" / PRUNED).exists()


def test_nothing_goes_while_a_job_computes(command: Command, store: Store) -> None:
    with store.hold(OTHER):
        ended = command("store", "prune", "larger_than=1kB", "yes=true", store=store.root)
    assert (ended.code, left(store)) == (1, [*INPUTS])
    assert ended.refusals == [f"prunelab: a job computes {OTHER}: wait for it, then prune"]


@pytest.mark.parametrize(
    "words",
    [
        "prune",
        "prune yes=true",
        "wipe",
        "prune age=3",
        "prune older_than=old",
        "prune reports=.",
        "list yes=true",
    ],
)
def test_what_is_not_meant_is_refused(command: Command, store: Store, words: str) -> None:
    ended = command("store", *words.split(), store=store.root)
    assert (ended.code, ended.out, len(ended.refusals), left(store)) == (1, [], 1, [*INPUTS])
