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
from prunelab.tracking.summary_run import Summary

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


def outcomes(store: Path) -> list[Path]:
    return sorted(store.glob("outcome-*"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the job's record and what is logged, without dates and the folder's name."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert "job.json" in files
    own = {name: path for name, path in files.items() if not name.startswith(("job.json", "wandb/"))}
    here = str(folder).encode()
    return {name: DATE.sub(b"", path.read_bytes()).replace(here, b"") for name, path in own.items()}


def test_what_was_left_is_left_again_as_if_it_had_been_computed(
    command: Command, second: Any, tiny_trained: tuple[str, ...], store: Path
) -> None:
    """What is logged of the two is compared in test_tracked.py."""
    assert (second.code, second.asked) == (0, [])
    words = [word for word in tiny_trained if word != "logger=none"]
    with mock.patch.object(kept, "serve", return_value=False):
        slow = command(*words, "logger=wandb", store=store)
    assert slow.asked
    assert contents(second.folder) == contents(slow.folder)
    assert {name.partition("/")[0] for name in contents(slow.folder)} >= {"models", "pictures"}
    said = [[line.replace(str(each.folder), "FOLDER") for line in each.err] for each in (second, slow)]
    assert said[0] == said[1]
    assert second.out == [str(second.folder)]
    record = json.loads((second.folder / "job.json").read_text())
    assert (record["state"], [*record["addresses"]]) == ("done", ["dense", "pruned", "recovered"])
    own = json.loads((second.folder / "provenance.json").read_text())["date"]
    rows = json.loads((second.folder / "report.json").read_text())["rows"]
    assert {row["provenance"]["date"] for row in rows} == {own}
    for name in ("report.html", "models/pruned/README.md"):
        assert DATE.findall((second.folder / name).read_bytes()) == [own.encode()]


def test_nothing_heavy_is_imported_for_it(tiny_trained: tuple[str, ...], own: Path) -> None:
    """In a process of its own: this one has imported everything already."""
    told = f"print(*sorted({{*{HEAVY!r}}} & {{*sys.modules}}))"
    code = f"import sys\nfrom prunelab.cli import main\ntry:\n    main()\nfinally:\n    {told}"
    ended = subprocess.run(
        [sys.executable, "-c", code, *tiny_trained],
        cwd=own.parent,
        env={**os.environ, "PRUNELAB_STORE": str(own)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[1:] == [""], ended.stdout
    assert "a warning" in ended.stderr


@pytest.fixture
def own(command: Command, first: Any, tiny_trained: tuple[str, ...], store: Path, tmp_path: Path) -> Path:
    """A store with what ``first`` computed, and the report of the same command without a logger."""
    for address in {where for stage, _, where in first.asked if stage != "sample"}:
        shutil.copytree(store / address, tmp_path / "store" / address)  # others share that store
    with instead(first) as computed:
        assert command(*tiny_trained, store=tmp_path / "store").code == 0
    assert len(computed) == 1
    return tmp_path / "store"


@contextmanager
def instead(first: Any) -> Iterator[list[Path]]:
    """Inside, what a run computes is what ``first`` left; the folders of those that did compute."""
    folders: list[Path] = []

    def computed(config: DictConfig, folder: Path, overrides: Any) -> Summary:
        folders.append(folder)
        shutil.copytree(first.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("wandb"))
        asked = [(stage, where) for stage, _, where in first.asked if stage != "sample"]
        SCREEN.noted[:] = [*asked, ("", "a warning")]
        return Summary({}, {}, "", "", [], {}, {}, [])

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
    command: Command, first: Any, tiny_trained: tuple[str, ...], own: Path, what: str
) -> None:
    """Then it is kept anew, which is seen where there is nothing else that the run would have to mend."""
    mended, spoil = SPOILT[what]
    with instead(first) as computed:
        spoil(own)
        for _ in range(1 + mended):
            assert command(*tiny_trained, store=own).code == 0
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
    command: Command, first: Any, tiny_trained: tuple[str, ...], own: Path
) -> None:
    (found,) = outcomes(own)
    with instead(first) as computed, mock.patch.object(Store, "hold", side_effect=Refusal("read-only")):
        assert command(*tiny_trained, store=own).code == 0
        assert computed == []
        assert command(*tiny_trained, "keep=copy", store=own).code == 0
    assert (len(computed), outcomes(own)) == (1, [found])


def test_what_changes_during_a_run_is_not_kept(
    command: Command, first: Any, tiny_trained: tuple[str, ...], own: Path
) -> None:
    for found in outcomes(own):
        shutil.rmtree(found)
    with instead(first), mock.patch.object(ingredients, "key", side_effect=["before", "after"]):
        assert command(*tiny_trained, store=own).code == 0
    assert outcomes(own) == []
