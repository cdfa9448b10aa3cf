"""Parts made from objects: what a configuration would say of them, so that addresses are the same."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from prunelab.core.errors import Refusal
from prunelab.core.presets import name_of
from prunelab.core.settings import known_as, left_out
from prunelab.stages.bench import Part


def part(group: str, value: Any) -> Part[Any]:
    """A part with the settings that decide its results, under the name that the command line has for it.

    One's own, and one that several files of its group choose, is named by its class, in_snake_case.
    """
    own = re.sub(r"(?<!^)(?=[A-Z])", "_", type(value).__name__).lower()
    return Part(name_of(group, place(type(value))) or own, value, described(value))


def described(value: Any) -> Any:
    """A part as a configuration says it: its class and its settings, less those that say how it runs."""
    if isinstance(value, list | tuple):
        return [described(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: described(each) for key, each in value.items()}
    kind = type(value)
    if not is_dataclass(value):
        raise Refusal(f"a {kind.__name__} is no dataclass: its results could not be told from another's")
    settings = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    deciding = settings.keys() - left_out(kind, settings)
    own = {name: described(each) for name, each in settings.items() if name in deciding}
    return {"_target_": known_as(kind, place(kind)), **own}


def place(kind: type[Any]) -> str:
    """The dotted name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"
