from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prunelab.core.errors import Refusal
from prunelab.costs.saved_size import disk_bytes


def test_all_safetensors_below_a_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    save_file({"a": torch.zeros(100)}, tmp_path / "unet" / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    (tmp_path / "config.json").write_text("{}")
    assert disk_bytes(tmp_path) == (tmp_path / "unet" / "model.safetensors").stat().st_size + 5


def test_a_link_counts_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"1234567")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to(tmp_path / "blob")
    assert disk_bytes(tmp_path / "snapshot") == 7


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="saved diffusers model"):
        disk_bytes(tmp_path / "missing")
