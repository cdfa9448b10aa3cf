"""Where the immutable outputs of stages live: addressed by what produced them, atomic, locked, checked."""

from prunelab.artifacts.addresses import address
from prunelab.artifacts.store import Store, default_root

__all__ = ["Store", "address", "default_root"]
