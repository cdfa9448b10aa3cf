"""Where ``prunelab`` starts: help alone takes no Hydra, and everything else is the command line's."""

import string
import sys
from pathlib import Path
from typing import Any

import yaml

from prunelab.core.contents import files
from prunelab.core.own_folders import conf_folder

HELP = (["--help"], ["-h"])
HEADER = "${hydra.help.header}"


def main() -> None:
    """Print the help, or run the command line."""
    if sys.argv[1:] in HELP:
        print(help_text(conf_folder()))
        return
    from prunelab.cli import main as command_line

    command_line()


def help_text(conf: Path) -> str:
    """What Hydra makes of ``hydra.help`` in ``config.yaml`` and of the groups of configurations beside it."""
    said: dict[str, Any] = yaml.safe_load((conf / "config.yaml").read_text("utf-8"))["hydra"]["help"]
    groups = "".join(f"{name}: {', '.join(options)}\n" for name, options in _groups(conf).items())
    template = said["template"].replace(HEADER, said["header"])
    return string.Template(template).substitute(APP_CONFIG_GROUPS=groups)


def _groups(conf: Path) -> dict[str, list[str]]:
    """Every folder with files of configuration, in order, and their names."""
    folders = {path.parent for path in files(conf) if path.suffix == ".yaml"} - {conf}
    named = {folder.relative_to(conf).as_posix(): folder for folder in folders}
    own = {name: folder for name, folder in sorted(named.items()) if name.partition("/")[0] != "hydra"}
    return {name: sorted(path.stem for path in folder.glob("*.yaml")) for name, folder in own.items()}
