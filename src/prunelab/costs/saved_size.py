"""How many bytes a saved model takes."""

from pathlib import Path

from prunelab.core.contents import files
from prunelab.core.errors import Refusal


def disk_bytes(folder: Path) -> int:
    """Bytes of the safetensors files in ``folder`` and below; links count as what they lead to.

    Refuses a folder that holds none, which is no saved model.
    """
    return sum(file.stat().st_size for file in weight_files(folder))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files in ``folder`` and below; refuses a folder that holds none."""
    found = [file for file in files(folder) if file.suffix == ".safetensors"]
    if not found:
        raise Refusal(f"no safetensors files under {folder}: name the folder of a saved diffusers model")
    return found
