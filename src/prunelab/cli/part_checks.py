"""The parts of a configuration, held against what their classes declare."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from prunelab.cli.declarations import check_target, declaration
from prunelab.cli.resolving import Resolved, resolve
from prunelab.core.complaints import shown
from prunelab.core.errors import Refusal

# What every job is made of: groups, and what stands inside them.
NEEDED = (
    *("model.open", "data", "task", "scorer", "budget", "bypass"),
    *("evaluation", "evaluation.timing", "trainer", "cluster", "logger"),
)
# What a part is given beside its own settings, from the keys of that name.
HANDED = {"trainer": ("devices", "precision"), "task": ("data",)}
# What stands inside a part without being a setting of it: a part of its own.
APART = {"evaluation": ("timing",)}
TOP = "prunelab.cli.top_level.TopLevel"


def check_parts(config: DictConfig, folders: Sequence[str] = ()) -> None:
    """Refuse a configuration with a value that its class does not take, before anything is imported.

    ``folders``: where classes are looked for beside those that Python knows.
    """
    whole, places = resolve(config), [*sys.path, *folders]
    for name in NEEDED:
        _check_part(whole.values, name)
    _check_list(whole.values["task"].get("metrics"))
    _check_granularities(whole.values.get("granularity"))
    top = declaration(TOP, places)
    top.check({name: whole.values[name] for name in top.settings if name in whole.values}, whole.say)
    for path, node in _parts(whole.values, ""):
        _check_settings(whole, path, node, places)
    _check_together(whole.values)


def _check_part(values: Mapping[str, Any], name: str) -> None:
    node: Any = values
    for part in name.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping) or "_target_" not in node:
        group = name.partition(".")[0]
        raise Refusal(f"{name}={shown(node)} is no part of a job: choose one, as in {group}=NAME")


def _check_list(metrics: Any) -> None:
    listed = metrics if isinstance(metrics, list) else [None]
    for metric in listed:
        if not isinstance(metric, Mapping) or "_target_" not in metric:
            raise Refusal(f"task.metrics={shown(metrics)} is no list of metrics: each has a _target_")


def _check_granularities(chosen: Any) -> None:
    described = chosen.values() if isinstance(chosen, Mapping) else [None]
    if not all(isinstance(each, Mapping) and "_target_" in each for each in described):
        raise Refusal(
            f"granularity={shown(chosen)} names nothing: choose granularity=NAME or [one,two]; an experiment "
            "does so in its defaults list, as - override /granularity: NAME"
        )


def _parts(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping that describes an object, and where it stands."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _parts(value, f"{path}.{key}".lstrip("."))
    if isinstance(node, list):
        for number, value in enumerate(node):
            yield from _parts(value, f"{path}.{number}")


def _check_settings(whole: Resolved, path: str, node: Mapping[str, Any], places: Sequence[str]) -> None:
    handed = HANDED.get(path, ())
    own = {name: value for name, value in node.items() if name not in APART.get(path, ())}
    given = {**{name: whole.values.get(name) for name in handed}, **own}

    def say(name: str) -> str:
        return name if name in handed and name not in node else whole.say(f"{path}.{name}")

    check_target(node["_target_"], places, whole.say(path))
    partial = bool(node.get("_partial_")) or "_args_" in node
    declaration(node["_target_"], places).check(given, say, complete=not partial)


def _check_together(values: Mapping[str, Any]) -> None:
    """Refuse choices that contradict each other."""
    recovery = values.get("recovery")
    if not isinstance(recovery, Mapping) or "method" not in recovery:
        raise Refusal(f"recovery={shown(recovery)} is no part of a job: choose one, or recovery=none")
    if recovery["method"] is not None and "_target_" not in recovery:
        raise Refusal("recovery.method is set without a recovery: choose one, as in recovery=distill")
    if values["quiet"] and values["verbose"]:
        raise Refusal("quiet=true and verbose=true contradict each other: give one of them")
    if values["scratch"] and recovery["method"] is None:
        raise Refusal("scratch=true trains with a recovery's schedule: choose one, as in recovery=distill")
