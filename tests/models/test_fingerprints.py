"""A model's fingerprint is that of its content, through whatever links the content is reached."""

import json
import os
import shutil
from pathlib import Path

import pytest

from prunelab.core.contents import files
from prunelab.core.errors import Refusal
from prunelab.costs.saved_size import disk_bytes
from prunelab.models.folders import EMBEDDED, content_hash
from prunelab.models.pipeline import PipelineModel

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return shutil.copytree(EMBEDDED / "tiny_uig", tmp_path / "plain")


def linked_folders(plain: Path, place: Path) -> Path:
    """The same model, each of its components a link to a folder elsewhere."""
    shutil.copytree(plain, place / "elsewhere")
    (place / "twin").mkdir()
    for path in (place / "elsewhere").iterdir():
        (place / "twin" / path.name).symlink_to(Path("..") / "elsewhere" / path.name)
    return place / "twin"


def linked_files(plain: Path, place: Path) -> Path:
    """The same model as the hub's cache lays it out: files are links to blobs, which hashes name."""
    twin = place / "snapshots" / "revision"
    (place / "blobs").mkdir(parents=True)
    for number, file in enumerate(files(plain)):
        link = twin / file.relative_to(plain)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place / "blobs" / str(number))
        link.symlink_to(os.path.relpath(place / "blobs" / str(number), link.parent))
    return twin


@pytest.mark.parametrize("layout", [linked_folders, linked_files])
def test_links_count_as_what_they_lead_to(layout: object, plain: Path, tmp_path: Path) -> None:
    twin = layout(plain, tmp_path / "linked")  # type: ignore[operator]
    before = PipelineModel.open("pixels", str(plain)).fingerprint()
    assert PipelineModel.open("pixels", str(twin)).fingerprint() == before
    assert disk_bytes(twin) == disk_bytes(plain) > 0
    weights = (twin / WEIGHTS).resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert PipelineModel.open("pixels", str(twin)).fingerprint() != before


def test_the_place_of_a_folder_does_not_count(plain: Path) -> None:
    assert content_hash(plain, "pretrained") == content_hash(EMBEDDED / "tiny_uig", "pretrained")


def test_links_in_a_circle_are_refused(plain: Path) -> None:
    (plain / "unet" / "again").symlink_to("..")
    with pytest.raises(Refusal, match="lead back to it without an end"):
        PipelineModel.open("pixels", str(plain)).fingerprint()


def test_random_weights_are_refused_in_one_line_too(plain: Path) -> None:
    config = plain / "unet" / "config.json"
    whole = json.loads(config.read_text())
    assert PipelineModel.open("pixels", str(plain), "random").components["denoiser"] is not None
    structure = {"version": 2, "base": "UNet2DModel", "steps": []}
    for junk in ({**whole, "layers_per_block": "x"}, {**whole, "structure": structure}):
        config.write_text(json.dumps(junk))
        with pytest.raises(Refusal) as error:
            PipelineModel.open("pixels", str(plain), "random")
        assert "\n" not in str(error.value)
