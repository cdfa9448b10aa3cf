"""The report of an earlier command, kept in the store: the same command again finds it without computing.

What a run leaves in its folder, but for the saved models, which are artifacts of their own. It is found by
the command's ``ingredients.key``, and holds only while all that the run read from the store is what it was.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.conf import OverridesConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from prunelab.artifacts import Store, address, default_root, record
from prunelab.artifacts.disk import FAILING
from prunelab.cli import provenance
from prunelab.cli.leaving import keep_model, show
from prunelab.cli.making import tracker
from prunelab.core.errors import Refusal
from prunelab.core.remembered import HASHES, remember_in
from prunelab.core.screen import SCREEN
from prunelab.tracking.summary_run import Summary

STAGE, VERSION = "outcome", 1
TOLD, SUMMARY, FILES = "outcome.json", "summary.json", "files"
PAGE, REPORT = "report.html", "report.json"
PAPER = ("summary.md", "summary.tex", "summary.csv")
MEDIA = ("pictures", "sounds", "previews")  # of a report, whose entries name files
WORDS = {".html", ".json", ".md", ".tex", ".csv"}  # endings of files that may say the date


def serve(key: str, config: DictConfig, folder: Path, overrides: OverridesConf) -> bool:
    """Leave what the same command left before; False, and nothing is done, where that is not whole.

    The job's own are the date, ``provenance.json`` and ``job.json``.
    """
    store = _store(config)
    content = _content(store, _address(key))
    told = json.loads(content[TOLD]) if content else {}
    if content is None or told["key"] != key or not _holds(store, told["read"]):
        return False
    log = tracker(config)
    provenance.leave(folder, config.job, overrides, config, told["hardware"])
    _say(told["noted"])
    Summary.from_json(json.loads(content[SUMMARY])).log(log)
    for state, where in told["models"].items():
        keep_model(store.path(where) / "model", folder / "models" / state, config.keep)
    # What tells this run from that one: it began after the words were written that a report quotes.
    dates = (told["date"].encode(), provenance.read(folder)["date"].encode())
    for name, data in content.items():
        if name not in (TOLD, SUMMARY):
            path = Path(name).relative_to(FILES)
            _write(folder / path, data.replace(*dates) if path.suffix in WORDS else data)
    rows = json.loads((folder / REPORT).read_text("utf-8"))["rows"]
    show(rows, (folder / PAGE).absolute())
    return True


def keep(key: str, config: DictConfig, folder: Path, summary: Summary | None) -> None:
    """Keep what a run has just left in its folder; nothing where the store takes no more.

    Where computations had something to say it waits for the next run, which says what this one would have
    said with everything stored.
    """
    if SCREEN.aside or summary is None:
        return
    store, where = _store(config), _address(key)
    report = json.loads((folder / REPORT).read_text("utf-8"))
    models = {row["state"]: row["address"] for row in report["rows"] if row["state"] != "dense"}
    told = {**_told(store, report["rows"][-1]["provenance"]), "key": key, "models": models}
    inputs = {"stage": STAGE, "version": VERSION, "key": key}
    inputs["made_of"] = [row["address"] for row in report["rows"]]
    try:
        with store.hold(where):
            partial = store.partial(where) / "result"
            for name in [*_names(report), *(f"models/{state}/README.md" for state in models)]:
                _write(partial / FILES / name, (folder / name).read_bytes())
            _write(partial / TOLD, json.dumps(told, indent=1).encode())
            _write(partial / SUMMARY, json.dumps(summary.as_json(), indent=1).encode())
            store.commit(where, partial, inputs)
    except Refusal:  # of a store that is read-only, or full: all that was asked for is there
        return


def _store(config: DictConfig) -> Store:
    store = Store(config.store or default_root())
    remember_in(store.root / HASHES)
    return store


def _address(key: str) -> str:
    return address(STAGE, str(HydraConfig.get().runtime.choices["model"]), VERSION, key=key)


def _told(store: Store, made: Mapping[str, Any]) -> dict[str, Any]:
    """What the files do not say."""
    read = {where: _sum(store, where) for stage, where in SCREEN.noted if stage}
    return {"date": made["date"], "hardware": made["hardware"], "noted": SCREEN.noted, "read": read}


def _names(report: Mapping[str, Any]) -> Iterator[str]:
    """The files of a report, beside its folder of models."""
    yield from (PAGE, REPORT, *PAPER)
    for entry in (entry for medium in MEDIA for entry in report.get(medium, ())):
        yield from ([entry["file"]] if "file" in entry else [])
        yield from [*entry.get("files", ()), *entry.get("stills", ())]


def _holds(store: Store, read: Mapping[str, str]) -> bool:
    """Whether all that a run read is what it was, and whole: what was made anew may be another."""
    return all(known == _sum(store, where) and store.valid(where) for where, known in read.items())


def _sum(store: Store, where: str) -> str | None:
    """What tells an artifact from another at its address: the hash of its record, which lists its files."""
    path = store.path(where) / record.RECORD
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _content(store: Store, where: str) -> dict[str, bytes] | None:
    """Every file of an artifact by its name, read once and as its record says; None where one is not."""
    folder = store.path(where)
    try:
        told = record.read(folder)
        if told is None or told["address"] != where:
            return None
        content = {name: (folder / name).read_bytes() for name in told["files"]}
    except OSError as error:
        if error.errno in FAILING:
            raise
        return None
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    return content if all(sums[name] == entry["sha256"] for name, entry in told["files"].items()) else None


def _say(noted: list[list[str]]) -> None:
    """What the run says of which everything is stored."""
    for stage, words in noted:
        if stage:
            SCREEN.begin(stage, words)
            SCREEN.stored(stage, words)
        else:
            SCREEN.warn(words)


def _write(path: Path, data: bytes) -> None:
    """Whole, and in the place of what may be a link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_bytes(data)
    aside.replace(path)
