"""Configuration files as they should be: regular, readable, YAML in UTF-8."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli.arguments import one_line
from prunelab.core.errors import Refusal

LARGEST = 2**20  # bytes
_READ: dict[tuple[Any, ...], ConfigResult] = {}  # a command composes its configuration several times


class FileConfigSource(file_config_source.FileConfigSource):
    """A folder whose files are looked at before they are opened: a pipe would never end.

    Hydra knows the source by the name of its class: in the process of a launcher it registers its own anew.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """As hydra does; Refusal for what is no file, is huge, or cannot be read."""
        file = Path(self.path) / self._normalize_file_name(config_path)
        if file.exists() and not file.is_file():
            raise Refusal(f"the configuration {file} is no regular file: give one that holds YAML")
        if file.exists() and file.stat().st_size > LARGEST:
            raise Refusal(f"the configuration {file} is no YAML: it holds more than {LARGEST} bytes")
        try:
            return copy.deepcopy(self._read(config_path, file))
        except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException, OSError) as error:
            raise Refusal(f"the configuration {file} cannot be read: {one_line(error)}") from error

    def _read(self, config_path: str, file: Path) -> ConfigResult:
        """What the file holds, parsed once as long as it stays the same."""
        if not file.exists():
            return super().load_config(config_path)
        stat = file.stat()
        key = (self.provider, self.path, config_path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if key not in _READ:
            _READ[key] = super().load_config(config_path)
        return _READ[key]


class StructuredConfigSource(structured_config_source.StructuredConfigSource):
    """Hydra's own schemas, which never change: hydra copies all its sources for every look at a group.

    Hydra knows the source by the name of its class.
    """

    def __deepcopy__(self, memo: object) -> "StructuredConfigSource":
        return self


def read_carefully() -> None:
    """Let hydra read every folder of configurations as a ``FileConfigSource``, and copy no schemas."""
    Plugins.instance()  # brings hydra's own, which would otherwise come later and stay
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource
    SourcesRegistry.instance().types[StructuredConfigSource.scheme()] = StructuredConfigSource


def folders(places: Sequence[str] | None) -> list[str]:
    """The folders among the places where configurations are looked for: classes lie there, too."""
    local = [str(place).removeprefix("file://") for place in places or ()]
    return [place for place in local if "://" not in place]
