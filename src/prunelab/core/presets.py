"""The files of conf/, read for programs: what a name stands for, without Hydra."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prunelab.core.errors import Refusal
from prunelab.core.own_folders import EMBEDDED, conf_folder

OVERRIDE = "override /"
HYDRA_S = ("_target_", "_args_", "_convert_")  # what says how an object is made


def embedded(name: str) -> str:
    """``${embedded:NAME}`` in a configuration: a folder that comes with the package."""
    return str(EMBEDDED / name)


def preset(group: str, name: str, **values: Any) -> dict[str, Any]:
    """What ``group=NAME`` stands for, interpolations resolved with ``values`` at the top of the tree.

    The files that it chooses of other groups are read beside it. Refuses a name that has no file.
    """
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    chosen = _file(group, name)
    others = {other: _file(other, file) for other, file in companions(group, name).items()}
    tree = OmegaConf.create({**values, **others, group: chosen.get(group, chosen)})
    found: dict[str, Any] = OmegaConf.to_container(tree[group], resolve=True)  # type: ignore[assignment]
    return found


def companions(group: str, name: str) -> dict[str, str]:
    """The files of other groups that ``group=NAME`` chooses, such as a task's data: group -> name."""
    chosen = {
        key: file for default in _file(group, name).get("defaults", ()) for key, file in default.items()
    }
    return {key.removeprefix(OVERRIDE): file for key, file in chosen.items() if key.startswith(OVERRIDE)}


def name_of(group: str, target: str) -> str | None:
    """The one file of a group that chooses the class ``target``; None where there are none or several."""
    files = sorted((conf_folder() / group).glob("*.yaml"))
    found = [file.stem for file in files if _file(group, file.stem).get("_target_") == target]
    return found[0] if len(found) == 1 else None


def _file(group: str, name: str) -> DictConfig:
    file = conf_folder() / group / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(each.stem for each in file.parent.glob("*.yaml")))
        raise Refusal(f"there is no {group} {name!r}: choose from {known}")
    read = OmegaConf.load(file)
    assert isinstance(read, DictConfig)
    return read


def made(node: Any, **settings: Any) -> Any:
    """The object that a node with a ``_target_`` describes, its inner ones first; ``settings`` on top."""
    if isinstance(node, list):
        return [made(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    inner = {key: made(value) for key, value in node.items() if key not in HYDRA_S}
    if "_target_" not in node:
        return inner
    return resolve_name(node["_target_"])(*node.get("_args_", ()), **inner, **settings)
