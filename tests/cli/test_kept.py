"""The same command again: what it left is found, without what would compute it, while nothing changed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from omegaconf import DictConfig

from prunelab.artifacts import Store
from prunelab.cli import cell, ingredients, kept
from prunelab.core.errors import Refusal
from prunelab.core.screen import SCREEN

Command = Callable[..., Any]
DATE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "lightning",
    "matplotlib",
    "pandas",
    "scipy",
    "datasets",
    "wandb",
)


@pytest.fixture(scope="module")
def words(tiny_trained: tuple[str, ...]) -> tuple[str, ...]:
    return tiny_trained


@pytest.fixture(scope="module")
def ran(command: Command, first: Any, words: tuple[str, ...], store: Path) -> Any:
    """A run that kept its report; ``first``, which was logged, kept none."""
    ended = command(*words, store=store)
    assert (ended.code, bool(ended.asked)) == (0, True)
    return ended


def outcomes(store: Path) -> list[Path]:
    return sorted(store.glob("outcome-*"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the job's record, without dates."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert "job.json" in files
    return {name: DATE.sub(b"DATE", path.read_bytes()) for name, path in files.items() if name != "job.json"}


def test_what_was_left_is_left_again_as_if_it_had_been_computed(
    command: Command, ran: Any, words: tuple[str, ...], store: Path
) -> None:
    again = command(*words, store=store)
    assert (again.code, again.asked) == (0, [])
    with mock.patch.object(kept, "serve", return_value=False):
        slow = command(*words, store=store)
    assert slow.asked
    assert contents(again.folder) == contents(slow.folder)
    assert {name.partition("/")[0] for name in contents(again.folder)} >= {
        "models",
        "pictures",
        "report.html",
    }
    for ended in (again, slow):
        told = [line.replace(str(ended.folder), "FOLDER") for line in ended.err]
        assert told == [line.replace(str(slow.folder), "FOLDER") for line in slow.err]
        assert ended.out == [str(ended.folder)]
        record = json.loads((ended.folder / "job.json").read_text())
        assert (record["state"], [*record["addresses"]]) == ("done", ["dense", "pruned", "recovered"])
        said = json.loads((ended.folder / "report.json").read_text())["rows"]
        own = json.loads((ended.folder / "provenance.json").read_text())["date"]
        assert {row["provenance"]["date"] for row in said} == {own}
        assert own in (ended.folder / "report.html").read_text()
        assert own in (ended.folder / "models" / "pruned" / "README.md").read_text()


def test_nothing_heavy_is_imported_for_it(ran: Any, words: tuple[str, ...], store: Path) -> None:
    """In a process of its own: this one has imported everything already."""
    told = f"print(*sorted({{*{HEAVY!r}}} & {{*sys.modules}}))"
    code = f"import sys\nfrom prunelab.cli import main\ntry:\n    main()\nfinally:\n    {told}"
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=store.parent, capture_output=True, text=True, check=True,
        env={**os.environ, "PRUNELAB_STORE": str(store)},
    )  # fmt: skip
    assert ended.stdout.splitlines()[1:] == [""], ended.stdout
    assert "report: " in ended.stderr


@pytest.fixture
def own(ran: Any, store: Path, tmp_path: Path) -> Path:
    """A store of one's own, with all that the run's holds."""
    shutil.copytree(store, tmp_path / "store", copy_function=shutil.copy2)
    return tmp_path / "store"


@contextmanager
def instead(ran: Any) -> Iterator[list[Path]]:
    """Inside, what a run computes is what ``ran`` left; the folders of those that did compute."""
    folders: list[Path] = []

    def computed(config: DictConfig, folder: Path, overrides: Any) -> None:
        folders.append(folder)
        shutil.copytree(ran.folder, folder, dirs_exist_ok=True)
        SCREEN.noted[:] = [(stage, where) for stage, _, where in ran.asked]

    with mock.patch.object(cell, "_computed", computed):
        yield folders


def broken(path: Path) -> None:
    """The last byte is another; size and names stay."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


SPOILT: dict[str, tuple[bool, Callable[[Path], None]]] = {
    "page": (True, lambda store: broken(next(store.glob("outcome-*/files/report.html")))),
    "record": (False, lambda store: next(store.glob("outcome-*/artifact.json")).unlink()),
    "metrics": (False, lambda store: broken(next(store.glob("evaluate-*/metrics.json")))),
    "model": (False, lambda store: shutil.rmtree(next(store.glob("recover-*")))),
    "times": (True, lambda store: remade(Store(store), next(store.glob("time-*")))),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_not_whole_or_not_what_it_was_is_computed(
    command: Command, ran: Any, words: tuple[str, ...], own: Path, what: str
) -> None:
    """Then it is kept anew, which is seen where there is nothing else that the run would have to mend."""
    mended, spoil = SPOILT[what]
    with instead(ran) as computed:
        spoil(own)
        for _ in range(1 + mended):
            assert command(*words, store=own).code == 0
        assert len(computed) == 1


def remade(store: Store, folder: Path) -> None:
    """Another artifact at the same address, as when times are taken again."""
    partial = store.partial(folder.name) / "result"
    shutil.copytree(folder, partial)
    timing = json.loads((partial / "timing.json").read_text())
    timing["dense"]["latency_ms"]["denoiser_b1"]["median"] += 1
    (partial / "timing.json").write_text(json.dumps(timing))
    inputs = json.loads((folder / "artifact.json").read_text())["inputs"]
    store.commit(folder.name, partial, inputs)


def test_a_store_that_is_read_only_serves_and_keeps_nothing(
    command: Command, ran: Any, words: tuple[str, ...], own: Path
) -> None:
    (found,) = outcomes(own)
    with instead(ran) as computed, mock.patch.object(Store, "hold", side_effect=Refusal("read-only")):
        assert command(*words, store=own).code == 0
        assert computed == []
        assert command(*words, "keep=copy", store=own).code == 0
    assert (len(computed), outcomes(own)) == (1, [found])


def test_what_changes_during_a_run_is_not_kept(
    command: Command, ran: Any, words: tuple[str, ...], own: Path
) -> None:
    for found in outcomes(own):
        shutil.rmtree(found)
    with instead(ran), mock.patch.object(ingredients, "key", side_effect=["before", "after"]):
        assert command(*words, store=own).code == 0
    assert outcomes(own) == []
