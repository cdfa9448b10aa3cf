"""Rows from before rows described themselves, as today's tasks and scorers of the same names do."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from prunelab.core.own_folders import conf_folder
from prunelab.report.schema import Row
from prunelab.stages.evaluate import quantities


def described(row: Row) -> Row:
    """The row, and where it is silent what its metrics are, and whether its scorer is a control.

    A task or scorer that prunelab does not ship adds nothing.
    """
    if "quantities" in row:
        return row
    told = {name: said for name, said in _metrics(row["task"]).items() if name in row["metrics"]}
    control = {"control": True} if row["scorer"] is not None and _is_control(row["scorer"]) else {}
    return {**row, **({"quantities": told} if told else {}), **control}


@cache
def _metrics(task: str) -> dict[str, dict[str, Any]]:
    """What the metrics of a task say of themselves, but of those that need more than their own settings."""
    nodes = (node for config in _shipped("task", task) for node in config.task.metrics)
    plain = [node for node in nodes if not any(OmegaConf.is_interpolation(node, key) for key in node)]
    return {name: told.as_json() for name, told in quantities([instantiate(node) for node in plain]).items()}


@cache
def _is_control(scorer: str) -> bool:
    return any(getattr(get_class(config._target_), "control", False) for config in _shipped("scorer", scorer))


def _shipped(group: str, name: str) -> Iterator[DictConfig]:
    """The configuration of that name, if there is one: names in a report are anybody's."""
    for file in (conf_folder() / group).glob("*.yaml"):
        if file.stem == name:
            found = OmegaConf.load(file)
            assert isinstance(found, DictConfig)
            yield found
