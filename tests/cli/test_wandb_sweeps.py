"""Files for W&B's agents: what an agent would call is a command line of ours."""

from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import yaml

from prunelab.cli.arguments import parse
from prunelab.cli.checking import check
from prunelab.cli.cluster import register
from prunelab.core.presets import conf_folder

FILES = sorted((conf_folder() / "sweep" / "wandb").glob("*.yaml"))


def values(parameter: dict[str, Any]) -> list[Any]:
    """All of a list, the ends of an interval."""
    given = [parameter[key] for key in ("value", "min", "max") if key in parameter]
    return parameter.get("values") or given


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_command_of_an_agent_is_accepted(path: Path) -> None:
    sweep = yaml.safe_load(path.read_text())
    assert sweep["command"] == ["prunelab", "${args_no_hyphens}"]
    register()
    parameters = sweep["parameters"]
    for chosen in islice(product(*(values(each) for each in parameters.values())), 0, None, 7):
        words = [f"{name}={value}" for name, value in zip(parameters, chosen, strict=True)]
        (config,) = check(parse(words))
        assert sweep["metric"]["name"].partition("/")[0] == "recovered"
        assert config.recovery.method is not None
