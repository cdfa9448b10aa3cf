"""What an artifact was made from, as the records of a store say it."""

import json
from collections.abc import Iterator
from typing import Any

from prunelab.artifacts.record import RECORD
from prunelab.artifacts.store import Store


def lineage(store: Store, address: str) -> dict[str, str]:
    """Address -> stage of ``address`` and of all that it was made from, the nearest first.

    Addresses among an artifact's inputs are its parents; one that has left the store is not named.
    """
    found: dict[str, str] = {}
    waiting = [address]
    while waiting:
        current = waiting.pop(0)
        inputs = _inputs(store, current)
        if current not in found and inputs is not None:
            found[current] = str(inputs.get("stage", ""))
            waiting += [value for value in _texts(inputs) if _named(value)]
    return found


def _inputs(store: Store, address: str) -> dict[str, Any] | None:
    path = store.path(address) / RECORD
    if not path.is_file():
        return None
    inputs = json.loads(path.read_text("utf-8"))["inputs"]
    return dict(inputs)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _texts(value)


def _named(text: str) -> bool:
    """Whether a text could be an address: a folder's name of one line, with a dash."""
    return "-" in text and "/" not in text and len(text) < 128 and text == text.strip(".")
