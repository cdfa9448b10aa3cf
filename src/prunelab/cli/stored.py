"""``prunelab store``: what the store holds, whether it is whole, and what of it can go."""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge
from pydantic import ByteSize

from prunelab.artifacts import Store, default_root, locks
from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.artifacts.inventory import Entry, inventory, leftovers, reachable
from prunelab.cli.arguments import nearest
from prunelab.cli.job_record import JOB
from prunelab.cli.looking import settings
from prunelab.core.errors import Refusal

ACTIONS = ("list", "verify", "prune")
KEYS: dict[str, Any] = {
    "store": str,
    "older_than": Annotated[float, Ge(0)],  # days
    "larger_than": ByteSize,
    "reports": str | list[str],
    "leftovers": bool,
    "yes": bool,
}
CRITERIA = ("older_than", "larger_than", "reports", "leftovers")


def store(words: Sequence[str]) -> int:
    """``prunelab store [list|verify|prune] [key=value ...]``; 1 where something is broken."""
    actions = [word for word in words if "=" not in word]
    if len(actions) > 1 or not {*actions} <= {*ACTIONS}:
        raise Refusal(f"unknown word {actions[-1]!r} for prunelab store: {nearest(actions[-1], ACTIONS)}")
    given = settings([word for word in words if "=" in word], KEYS)
    place = Store(given.pop("store", None) or default_root())
    action = actions[0] if actions else "summary"
    if action != "prune" and given:
        raise Refusal(f"{next(iter(given))} is for prunelab store prune")
    with refusing_disk_errors(place.root):
        return {"summary": _summary, "list": _list, "verify": _verify, "prune": _prune}[action](place, given)


def _summary(place: Store, _: dict[str, Any]) -> int:
    """Sizes by stage, and by what jobs keep out of each other's way."""
    entries, partial = inventory(place), leftovers(place)
    for stage in sorted({entry.stage for entry in entries}):
        found = [entry for entry in entries if entry.stage == stage]
        print(f"{stage:10s} {len(found):6d} {_bytes(sum(entry.size for entry in found)):>10s}")
    print(f"{'in all':10s} {len(entries):6d} {_bytes(sum(entry.size for entry in entries)):>10s}")
    print(f"{'.partial':10s} {len(partial):6d} {_bytes(sum(partial.values())):>10s}")
    if place.root.is_dir():
        free = _bytes(shutil.disk_usage(place.root).free)
        print(f"{place.root}: {free} free; locks: {locks.means(place.root)}")
    return 0


def _list(place: Store, _: dict[str, Any]) -> int:
    """Every artifact, the largest first."""
    entries = inventory(place)
    for entry in sorted(entries, key=lambda each: -each.size):
        made = " ".join(f"{name} {version}" for name, version in (entry.versions or {}).items())
        when = f"{entry.created:%Y-%m-%d %H:%M}" if entry.created else "broken"
        print(f"{_bytes(entry.size):>10s} {when:16s} {entry.address} {made}".rstrip())
    print(f"{_bytes(sum(entry.size for entry in entries)):>10s} in {len(entries)} artifacts")
    return 0


def _verify(place: Store, _: dict[str, Any]) -> int:
    """Read everything, and name what is not as its record says."""
    entries = inventory(place)
    broken = [entry.address for entry in entries if not place.valid(entry.address)]
    for address in broken:
        print(f"broken: {address}: it is computed again when it is needed")
    print(f"{len(entries) - len(broken)} of {len(entries)} artifacts are whole")
    return int(bool(broken))


def _prune(place: Store, given: dict[str, Any]) -> int:
    """Delete what meets every criterion; without ``yes=true`` say what that would be."""
    if not any(given.get(name) not in (None, False) for name in CRITERIA):
        raise Refusal(
            "prunelab store prune needs to be told what can go: older_than=DAYS, larger_than=1GB, "
            "reports=FOLDER (what no report below it rests on), leftovers=true"
        )
    entries = inventory(place)
    gone = list(_chosen(entries, given))
    partial = leftovers(place) if given.get("leftovers") else {}
    for name, size in [*((entry.address, entry.size) for entry in gone), *partial.items()]:
        print(f"{_bytes(size):>10s} {name}")
    total = _bytes(sum(entry.size for entry in gone) + sum(partial.values()))
    if not given.get("yes"):
        print(f"{len(gone)} artifacts and {len(partial)} leftovers, {total}, would go: add yes=true")
        return 0
    _at_rest(place)
    for name in [*(entry.address for entry in gone), *partial]:
        place.discard(name)
    print(f"{len(gone)} artifacts and {len(partial)} leftovers are gone, {total}")
    return 0


def _chosen(entries: Sequence[Entry], given: dict[str, Any]) -> Iterator[Entry]:
    if not {"older_than", "larger_than", "reports"} & {*given}:
        return
    places = given.get("reports", [])
    kept = reachable(entries, _named([places] if isinstance(places, str) else places)) if places else set()
    for entry in entries:
        old = entry.age() >= given.get("older_than", 0.0)
        if old and entry.size >= given.get("larger_than", 0) and entry.address not in kept:
            yield entry


def _named(places: Iterable[str]) -> Iterator[str]:
    """The addresses in the reports and the records of jobs below folders."""
    found = 0
    for place in places:
        for path in [*Path(place).rglob("report.json"), *Path(place).rglob(JOB)]:
            found += 1
            content = json.loads(path.read_text("utf-8"))
            yield from (row["address"] for row in content.get("rows", ()))
            yield from content.get("addresses", {}).values()
    if not found:
        raise Refusal(f"no report.json below reports={','.join(places)}: what they rest on would all go")


def _at_rest(place: Store) -> None:
    """Refuse while a job computes something: it reads more than what it holds."""
    folder = place.root / ".locks"
    for path in folder.glob("*.lock*") if folder.is_dir() else ():
        if locks.taken(path.with_name(path.name.removesuffix(".lease"))):
            raise Refusal(f"a job computes {path.name.partition('.lock')[0]}: wait for it, then prune")


def _bytes(count: int) -> str:
    return ByteSize(count).human_readable(decimal=True, separator=" ")
