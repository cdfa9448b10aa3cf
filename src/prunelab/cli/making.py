"""Objects made of the nodes of a configuration that describe them."""

from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prunelab.core.errors import Refusal
from prunelab.tracking.protocol import Tracker


def instantiate(node: Any, **settings: Any) -> Any:
    """The object a node describes; what its class refuses, or cannot take, is one line."""
    try:
        return hydra.utils.instantiate(node, **settings)
    except InstantiationException as error:
        if isinstance(error.__cause__, Refusal):
            raise error.__cause__ from None
        raise Refusal(f"the configuration does not fit its class: {' '.join(str(error).split())}") from error
    except OmegaConfBaseException as error:
        raise Refusal(f"the configuration does not resolve: {' '.join(str(error).split())}") from error


def tracker(config: DictConfig) -> Tracker:
    """Where stages are logged."""
    chosen: Tracker = instantiate(config.logger)
    return chosen
