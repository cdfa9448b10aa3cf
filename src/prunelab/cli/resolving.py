"""A configuration as plain values, and what the command line calls them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli.arguments import one_line
from prunelab.core.complaints import shown
from prunelab.core.errors import Refusal

LATER = object()  # in the place of what only a running job knows, such as its folder
MISSING = "???"
OF_A_JOB = ("${hydra:", "${now:")
UNSET = "HydraConfig was not set"
REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([A-Za-z_][\w.]*)(?:,[^${}]*)?\}")
DEEPEST = 40  # levels: beyond it, keys hold each other


@dataclass
class Resolved:
    """The values of a configuration, and for every key that refers to another one the name of that one."""

    config: DictConfig
    values: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def say(self, key: str) -> str:
        """What has to be set to change ``key``."""
        return self.names.get(key, key)


def resolve(config: DictConfig) -> Resolved:
    """Everything but hydra's own settings; Refusal for what refers to nothing."""
    made = Resolved(config)
    made.values = {str(key): _value(made, config, key, str(key)) for key in config if key != "hydra"}
    return made


def _value(made: Resolved, node: DictConfig | ListConfig, key: Any, path: str) -> Any:
    """The value under ``key`` of a node, which stands at ``path``."""
    if path.count(".") > DEEPEST:
        raise Refusal(f"{path.partition('.')[0]} holds itself: something in it refers to all of it")
    if OmegaConf.is_missing(node, key):
        return MISSING
    if OmegaConf.is_interpolation(node, key):
        text = str(_written(node, key))
        if any(words in text for words in OF_A_JOB) and not HydraConfig.initialized():
            return LATER
        _note(made, path, text)
        value = _looked_up(node, key, path, text)
    else:
        value = node[key]
    if isinstance(value, DictConfig | ListConfig):
        return _container(made, value, path)
    return value


def _container(made: Resolved, node: DictConfig | ListConfig, path: str) -> Any:
    pairs = [(key, _value(made, node, key, f"{path}.{key}")) for key in _keys(node)]
    return dict(pairs) if isinstance(node, DictConfig) else [value for _, value in pairs]


def _keys(node: DictConfig | ListConfig) -> Iterator[Any]:
    yield from node if isinstance(node, DictConfig) else range(len(node))


def _written(node: DictConfig | ListConfig, key: Any) -> Any:
    plain: Any = OmegaConf.to_container(node, resolve=False)
    return plain[key]


def _looked_up(node: DictConfig | ListConfig, key: Any, path: str, text: str) -> Any:
    try:
        return node[key]
    except (OmegaConfBaseException, RecursionError) as error:
        if UNSET in str(error):
            return LATER
        raise Refusal(f"{path}={shown(text)} refers to what is not there: {one_line(error)}") from error


def _note(made: Resolved, path: str, text: str) -> None:
    found = REFERENCE.fullmatch(text)
    if found:
        parent, _, _ = found[1].rpartition(".")
        known = OmegaConf.select(made.config, found[1], default=None, throw_on_resolution_failure=False)
        if known is not None or not parent:
            made.names[path] = made.names.get(found[1], found[1])
