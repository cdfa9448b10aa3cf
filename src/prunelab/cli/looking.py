"""Commands that look at what jobs left: ``prunelab status``, ``collect`` and ``store``.

They take no part of a configuration, so Hydra has no share in them, and they leave no folder of their own.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from prunelab.cli.arguments import Arguments, nearest, one_line, parse_overrides
from prunelab.core.complaints import shown
from prunelab.core.errors import Refusal


def look(arguments: Arguments) -> int:
    """Run the command; its exit code."""
    if arguments.job == "store":
        from prunelab.cli.stored import store

        return store(arguments.rest)
    from prunelab.cli.status import collect, status

    commands: dict[str, Callable[[Path], int]] = {"status": status, "collect": collect}
    return commands[arguments.job](_path(arguments))


def _path(arguments: Arguments) -> Path:
    """The folder to look at: a word of its own, or ``path=FOLDER``."""
    bare = [word for word in arguments.rest if "=" not in word]
    given = settings([word for word in arguments.rest if word not in bare], {"path": str})
    places = [*bare, *given.values()]
    if len(places) != 1:
        raise Refusal(f"prunelab {arguments.job} looks at one folder: prunelab {arguments.job} FOLDER")
    folder = Path(places[0])
    if not folder.is_dir():
        raise Refusal(f"there is no folder {folder}: give that of a sweep, or one that holds sweeps")
    return folder


def settings(words: Sequence[str], known: dict[str, Any]) -> dict[str, Any]:
    """``key=value`` words by key, each held against its type."""
    given: dict[str, Any] = {}
    for override in parse_overrides(words):
        key, value = override.key_or_group, override.value()
        if key not in known or override.is_sweep_override() or override.is_add() or override.is_delete():
            raise Refusal(f"unknown key {key!r}: {nearest(key, sorted(known))}")
        try:
            given[key] = TypeAdapter(known[key]).validate_python(value)
        except ValidationError as error:
            reason = one_line(ValueError(error.errors(include_url=False)[0]["msg"]))
            raise Refusal(f"{key}={shown(value)} does not fit: {reason}") from error
    return given
