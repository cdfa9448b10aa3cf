"""The versions behind a result: of this package, and of those whose mathematics it runs."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("prunelab", "torch", "diffusers")


@cache
def versions() -> dict[str, str]:
    """Version by package, from their metadata: none is imported for it."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
