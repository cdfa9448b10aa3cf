"""``prunelab rerun FOLDER``: the command that left a folder, given again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunelab.cli import provenance
from prunelab.core.errors import Refusal

JOB = "rerun"


class Repeated:
    """A command line that may ask for another one to be repeated.

    words: the command line as it is to be run; words of one's own replace those of the folder's that set the
    same key. record: what the folder says; None where nothing is repeated.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words, self.record = list(words), None
        if JOB in words:
            self.words, self.record = _repeated(list(words))

    def check_versions(self) -> None:
        """Say what has changed since: other versions may give other results."""
        if self.record is None:
            return
        now = provenance.made(self.words)
        pairs = [("prunelab", "version"), ("the commit", "commit")]
        told = [f"{name} was {self.record.get(key)} and is {now[key]}" for name, key in pairs if
                self.record.get(key) != now[key]]  # fmt: skip
        before = self.record.get("libraries") or {}
        told += [
            f"{name} was {before[name]} and is {version}"
            for name, version in now["libraries"].items()
            if before.get(name, version) != version
        ]
        if told:
            provenance.say(f"rerun: {'; '.join(told)}: results may differ")

    def check_settings(self, now: dict[str, Any]) -> None:
        """Say which settings are not what they were."""
        before = self.record.get("config") if self.record else None
        changed = provenance.differences(before, now) if before else []
        if changed:
            provenance.say(f"rerun: settings that differ from the folder's: {'; '.join(changed)}")


def _repeated(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    place = words.index(JOB)
    following = words[place + 1 : place + 2]
    if not following or following[0].startswith("-"):
        raise Refusal("rerun of what? prunelab rerun FOLDER repeats the run that left FOLDER")
    record = provenance.read(Path(following[0]))
    own = words[:place] + words[place + 2 :]
    keys = {_key(word) for word in own if "=" in word}
    kept = [word for word in record["words"] if "=" not in word or _key(word) not in keys]
    return [*kept, *own], record


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
