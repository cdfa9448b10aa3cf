"""What an artifact was made from, as the records of a store say it."""

from prunelab.artifacts import record
from prunelab.artifacts.inventory import addresses
from prunelab.artifacts.store import Store


def lineage(store: Store, address: str) -> dict[str, str]:
    """Address -> stage of ``address`` and of all that it was made from, the nearest first.

    Addresses among an artifact's inputs are its parents; one that has left the store is not named.
    """
    found: dict[str, str] = {}
    waiting = [address]
    while waiting:
        current = waiting.pop(0)
        content = record.read(store.path(current))
        if current not in found and content is not None:
            found[current] = str(content["inputs"].get("stage", ""))
            waiting += addresses(content["inputs"])
    return found
