"""The size after lossless compression, against zlib and gzip themselves."""

import gzip
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prunelab.core.errors import Refusal
from prunelab.costs.compressed import compressed_bytes
from prunelab.costs.saved_size import disk_bytes


def test_equals_zlib_of_each_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "unet").mkdir()
    for number, name in enumerate(("one", "unet/two")):
        save_file({"w": torch.randn(300_000 * (number + 1))}, tmp_path / f"{name}.safetensors")
    (tmp_path / "config.json").write_text("{}" * 1000)
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert compressed_bytes(tmp_path) == sum(len(zlib.compress(file.read_bytes(), 6)) for file in files)
    gzipped = sum(len(gzip.compress(file.read_bytes(), 6)) for file in files)
    assert gzipped - compressed_bytes(tmp_path) == 12 * len(files)  # gzip's longer header and trailer


def test_zeros_keep_their_bytes_on_disk_and_lose_them_here(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weight = torch.randn(100_000)
    sizes = []
    for name, keep in {"dense": 0.0, "sparse": 0.6}.items():
        (tmp_path / name).mkdir()
        save_file({"w": weight * (torch.rand(100_000) >= keep)}, tmp_path / name / "w.safetensors")
        sizes.append((disk_bytes(tmp_path / name), compressed_bytes(tmp_path / name)))
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] < 0.6 * sizes[0][1]


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no safetensors"):
        compressed_bytes(tmp_path)
