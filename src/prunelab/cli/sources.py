"""Where a dotted name is defined, found and read without importing anything."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef | ast.expr


@dataclass(frozen=True)
class Module:
    """A parsed file: what it defines, and where the names come from that it imports.

    folders: where its imports are looked for.
    """

    name: str
    defined: dict[str, Definition]
    imported: dict[str, str]
    folders: tuple[str, ...]


def module(name: str, folders: Sequence[str]) -> Module | None:
    """The module of a dotted name; None where there is no such file of Python."""
    file = _file(name, folders)
    if file is None:
        return None
    defined, imported = _read(str(file), file.stat().st_mtime_ns)
    return Module(name, defined, imported, tuple(folders))


def find(target: str, folders: Sequence[str]) -> tuple[Module, list[str]] | None:
    """The module of a target such as ``package.module.Class.method``, and what is left of the name."""
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found = module(".".join(parts[:cut]), folders)
        if found is not None:
            return found, parts[cut:]
    return None


def _file(name: str, folders: Sequence[str]) -> Path | None:
    places: Sequence[str] | None = folders
    spec = None
    for end in range(1, name.count(".") + 2):
        if places is None:
            return None
        spec = PathFinder.find_spec(".".join(name.split(".")[:end]), places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    origin = Path(spec.origin) if spec is not None and spec.origin else None
    return origin if origin is not None and origin.suffix == ".py" and origin.is_file() else None


@lru_cache(maxsize=256)
def _read(file: str, changed: int) -> tuple[dict[str, Definition], dict[str, str]]:
    """Definitions and imports at the top of a file; none of one that Python cannot read."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (SyntaxError, ValueError, OSError):  # importing it will say so
        return {}, {}
    defined: dict[str, Definition] = {}
    imported: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef():
                defined[node.name] = node
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                defined[name] = value
            case ast.Import(names=names):
                imported |= {alias.asname or alias.name: alias.name for alias in names}
            case ast.ImportFrom(module=str(origin), names=names, level=0):
                imported |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in names}
    return defined, imported
