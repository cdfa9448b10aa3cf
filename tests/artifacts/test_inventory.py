"""What a store holds, and what of it reports rest on."""

import json
from pathlib import Path

import pytest

from prunelab.artifacts import Store
from prunelab.artifacts.inventory import inventory, leftovers, reachable
from prunelab.core.versions import versions


def address(stage: str, number: int) -> str:
    return f"{stage}-name-{number:012x}"


DENSE, SCORE, SAMPLE = address("dense", 0), address("score", 1), address("sample", 2)
PRUNED, PRUNED_SAMPLE, TIME = address("prune", 3), address("sample", 4), address("time", 5)
OTHER, OTHER_TIME, JUDGE = address("prune", 6), address("time", 7), address("judge", 8)
INPUTS: dict[str, dict[str, object]] = {
    DENSE: {"model": "a hash"},
    SCORE: {"model": "a hash"},
    SAMPLE: {"model": DENSE},
    PRUNED: {"scores": SCORE},
    PRUNED_SAMPLE: {"model": PRUNED, "how": {"steps": 2}},
    TIME: {"models": [DENSE, PRUNED]},
    OTHER: {"scores": SCORE},
    OTHER_TIME: {"models": [DENSE, OTHER]},
    JUDGE: {"data": "a hash"},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    for number, (name, inputs) in enumerate(INPUTS.items()):
        folder = made.partial(name) / "result"
        folder.mkdir()
        (folder / "content.bin").write_bytes(bytes(1000 * (number + 1)))
        made.commit(name, folder, {"stage": name.partition("-")[0], **inputs})
    return made


def test_every_artifact_is_measured_and_says_what_made_it(store: Store) -> None:
    (store.partial(address("recover", 9)) / "checkpoint").write_bytes(bytes(500))
    entries = {entry.address: entry for entry in inventory(store)}
    assert [*entries] == sorted(INPUTS)
    for number, name in enumerate(INPUTS):
        assert 1000 * (number + 1) < entries[name].size < 1000 * (number + 1) + 2000
        assert entries[name].versions == versions()
        assert entries[name].age() < 1
    assert entries[TIME].parents == {DENSE, PRUNED}
    assert leftovers(store) == {address("recover", 9): 500}


def test_a_report_rests_on_what_it_was_made_of_and_on_what_was_made_of_that(store: Store) -> None:
    kept = reachable(inventory(store), [DENSE, PRUNED, "prune-gone-0123456789ab"])
    assert {*INPUTS} - kept == {OTHER, OTHER_TIME}
    assert {*INPUTS} - reachable(inventory(store), [DENSE]) == {
        SCORE,
        PRUNED,
        PRUNED_SAMPLE,
        TIME,
        OTHER,
        OTHER_TIME,
    }


def test_a_broken_artifact_is_listed_and_reaches_nothing(store: Store) -> None:
    record = store.path(PRUNED) / "artifact.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "created": "yesterday"}))
    entry = next(entry for entry in inventory(store) if entry.address == PRUNED)
    assert (entry.created, entry.parents) == (None, frozenset())
