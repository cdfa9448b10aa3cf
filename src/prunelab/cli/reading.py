"""Configuration files as they should be: regular, readable, YAML in UTF-8."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli.arguments import one_line
from prunelab.core.errors import Refusal

LARGEST = 2**20  # bytes


class Folder(FileConfigSource):
    """A folder whose files are looked at before they are opened: a pipe would never end."""

    def load_config(self, config_path: str) -> ConfigResult:
        """As hydra does; Refusal for what is no file, is huge, or cannot be read."""
        file = Path(self.path) / self._normalize_file_name(config_path)
        if file.exists() and not file.is_file():
            raise Refusal(f"the configuration {file} is no regular file: give one that holds YAML")
        if file.exists() and file.stat().st_size > LARGEST:
            raise Refusal(f"the configuration {file} is no YAML: it holds more than {LARGEST} bytes")
        try:
            return super().load_config(config_path)
        except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException, OSError) as error:
            raise Refusal(f"the configuration {file} cannot be read: {one_line(error)}") from error


def read_carefully() -> None:
    """Let hydra read every folder of configurations as a ``Folder``."""
    Plugins.instance()  # brings hydra's own, which would otherwise come later and stay
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = Folder


def folders(places: Sequence[str] | None) -> list[str]:
    """The folders among the places where configurations are looked for: classes lie there, too."""
    local = [str(place).removeprefix("file://") for place in places or ()]
    return [place for place in local if "://" not in place]
