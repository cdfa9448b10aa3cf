"""A folder's rows come from its files: their names and bytes decide, and nothing that lies beside them."""

import io
import json
import os
import shutil
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest

from prunelab.core.errors import Refusal
from prunelab.data import shards
from prunelab.data.folder import chosen
from prunelab.data.pictures import Pictures, picture
from prunelab.data.prompts import Prompts
from prunelab.data.sounds import Sounds

from .conftest import png, wav

Captioned = Callable[..., Path]


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None is tried, though the libraries allow it; that they go on where one fails is no excuse."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    tried: list[object] = []

    def refused(*address: object, **_: object) -> None:
        tried.append(address)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    yield
    assert tried == []


def prompts(path: Path, **settings: Any) -> list[str]:
    data = Prompts(path=str(path), **{"train_size": 1, **settings})
    found: list[str] = data.train()[:]["caption"] + data.test()[:]["caption"]
    return sorted(found)


def table(file: Path, *texts: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict({"text": list(texts)}).to_parquet(file)


def card(folder: Path, files: str, name: str = "README.md") -> None:
    """What a dataset card can say of where rows are."""
    configs = f"configs:\n- config_name: default\n  data_files: {files}\n"
    infos = "dataset_info:\n  features:\n  - name: text\n    dtype: int64\n"
    (folder / name).write_text(configs if name.startswith(".") else f"---\n{configs}{infos}---\n")


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize("files", ["../secret.parquet", "https://example.org/a.parquet", "b.parquet"])
def test_a_card_does_not_decide(tmp_path: Path, name: str, files: str) -> None:
    table(tmp_path / "secret.parquet", "secret 1", "secret 2")
    table(tmp_path / "data" / "a.parquet", "a", "b")
    table(tmp_path / "data" / "b.parquet", "c")
    card(tmp_path / "data", files, name)
    (tmp_path / "data" / "dataset_infos.json").write_text('{"default": {"features": {"text": 3}}}')
    (tmp_path / "data" / "data.py").write_text("raise SystemExit('executed')")
    assert prompts(tmp_path / "data") == ["a", "b", "c"]


@pytest.mark.parametrize("carded", [False, True])
def test_other_content_gives_other_rows(tmp_path: Path, carded: bool) -> None:
    """Also where size, time and name stay the same, as in a copy that keeps times."""
    file = tmp_path / "data" / "a.jsonl"
    file.parent.mkdir()
    if carded:
        card(tmp_path / "data", "a.jsonl")
    found, addresses = [], []
    for word in ("old", "new"):
        file.write_text("".join(json.dumps({"text": f"{word} {i}"}) + "\n" for i in range(3)))
        os.utime(file, (1, 1))
        found.append(prompts(tmp_path / "data"))
        addresses.append(Prompts(path=str(tmp_path / "data"), train_size=1).fingerprint)
    assert found == [[f"{word} {i}" for i in range(3)] for word in ("old", "new")]
    assert addresses[0] != addresses[1]


@pytest.mark.parametrize("linked", ["file", "folder", "twice", "all"])
def test_what_lies_behind_links_counts(captioned: Captioned, tmp_path: Path, linked: str) -> None:
    """A link is read as what it leads to, also out of the folder, and identifies the data like it."""
    plain, place = captioned(4, "plain/deep"), tmp_path / "linked"
    target = shutil.copytree(plain, tmp_path / "elsewhere")
    (tmp_path / "way").symlink_to("elsewhere")
    (place / "deep").mkdir(parents=True) if linked == "file" else place.mkdir()
    if linked == "file":
        for file in plain.iterdir():
            (place / "deep" / file.name).symlink_to(f"../../elsewhere/{file.name}")
    else:
        (place / "deep").symlink_to("../elsewhere" if linked == "folder" else "../way")
    if linked == "all":
        place = (tmp_path / "again").symlink_to(place) or tmp_path / "again"
    data = Pictures(path=str(place), size=9, test_size=1)
    assert data.fingerprint == Pictures(path=str(plain.parent), size=9, test_size=1).fingerprint
    assert sorted(data.train()[:]["caption"] + data.test()[:]["caption"]) == [
        f"picture {i}" for i in range(4)
    ]
    (target / "002.png").write_bytes(png(9))
    changed = Pictures(path=str(place), size=9, test_size=1)
    assert changed.fingerprint != data.fingerprint
    images = np.concatenate([changed.train()[:]["image"], changed.test()[:]["image"]])
    assert any(np.array_equal(image, picture(png(9), 9, 3)) for image in images)


def test_sounds_behind_links_are_rows(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "sounds").mkdir()
    for i in range(3):
        (tmp_path / "sounds" / f"{i}.wav").write_bytes(wav(np.full((9, 1), i + 1, dtype="<i2")))
    (tmp_path / "data" / "deep").symlink_to("../sounds")
    data = Sounds(path=str(tmp_path / "data"), rate=8000, samples=9, test_size=1)
    assert sorted(np.concatenate([data.train()[:]["audio"], data.test()[:]["audio"]])[:, 0, 0]) == [1, 2, 3]


@pytest.mark.parametrize("link", ["..", "nowhere.png"])
def test_links_without_an_end_are_one_line(captioned: Captioned, link: str) -> None:
    folder = captioned(2)
    (folder / "link").symlink_to(link)
    with pytest.raises(Refusal, match="link") as refusal:
        Pictures(path=str(folder), size=9, test_size=1).train()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("path", [".hidden.png", "deep/.hidden/0.png", "deep/../.hidden.png", "out/../0.png"])
def test_a_table_leads_to_files_that_count(tmp_path: Path, path: str) -> None:
    """Hidden files do not identify the data; the last path leads out of the folder through a link."""
    folder = tmp_path / "data"
    for place in (folder / "deep" / ".hidden", tmp_path / "elsewhere" / "deep"):
        place.mkdir(parents=True)
    for file in (
        folder / ".hidden.png",
        folder / "deep" / ".hidden" / "0.png",
        tmp_path / "elsewhere" / "0.png",
    ):
        file.write_bytes(png(0))
    (folder / "out").symlink_to("../elsewhere/deep")
    datasets.Dataset.from_dict({"image": [path] * 2}).to_parquet(folder / "a.parquet")
    for settings in ({}, {"on_error": "skip"}):
        with pytest.raises(Refusal, match=r"hidden file|no file|too few"):
            Pictures(path=str(folder), builder="parquet", size=9, test_size=1, **settings).train()[:]


def test_no_pipe_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    datasets.Dataset.from_dict({"image": ["pipe.png"] * 2}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Refusal, match=r"no file .*pipe\.png"):
        Pictures(path=str(tmp_path), builder="parquet", size=9, test_size=1).train()[:]


@pytest.mark.parametrize("name", ["../0.png", "/0.png", "file://0.png", "https://example.org/0.png"])
def test_metadata_leads_into_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    for place in (tmp_path, tmp_path / "data"):
        (place / "0.png").write_bytes(png(0))
    lines = [json.dumps({"file_name": each, "text": "a picture"}) for each in ("0.png", name)]
    (tmp_path / "data" / "metadata.jsonl").write_text("\n".join(lines))
    with pytest.raises(Refusal, match="file_name") as refusal:
        Pictures(path=str(tmp_path / "data"), size=9, test_size=1).train()[:]
    assert "\n" not in str(refusal.value)


def test_names_are_no_patterns(tmp_path: Path) -> None:
    for name in ("[1].parquet", "*.parquet", "?.parquet"):
        table(tmp_path / name, name)
    assert prompts(tmp_path) == ["*.parquet", "?.parquet", "[1].parquet"]
    (tmp_path / "a::http").write_text("")
    with pytest.raises(Refusal, match="rename it"):
        prompts(tmp_path)


@pytest.mark.parametrize(
    ("names", "split", "reader", "expected"),
    [
        ("0.png 1.jpg README.txt", "train", "imagefolder", "0.png 1.jpg"),
        ("0.PNG metadata.csv a.eps", "train", "imagefolder", "0.PNG metadata.csv"),
        ("a.zip", "train", "imagefolder", "a.zip"),
        ("a.zip a.parquet", "train", "parquet", "a.parquet"),
        ("metadata.parquet", "train", "parquet", "metadata.parquet"),
        ("train/a.csv test/b.csv", "test", "csv", "test/b.csv"),
        ("x/train/a/0.png x/test/a/1.png", "train", "imagefolder", "x/train/a/0.png"),
        ("train.csv val_1.csv", "validation", "csv", "val_1.csv"),
        ("data/odd-00000-of-00001-1a.parquet data/train-00000-of-00001.parquet", "odd", "parquet",
         "data/odd-00000-of-00001-1a.parquet"),
        ("a.tar __MACOSX/b.tar dataset_infos.json", "train", "webdataset", "a.tar"),
        ("a.txt b.txt c.arrow state.json dataset_info.json", "train", "arrow", "c.arrow"),
        ("a.txt b.txt", "train", "text", "a.txt b.txt"),
    ],
)  # fmt: skip
def test_which_files(tmp_path: Path, names: str, split: str, reader: str, expected: str) -> None:
    """As ``datasets`` chooses by name."""
    there = [tmp_path / name for name in names.split()]
    for file in there:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert chosen(tmp_path, there, None, split, apart=False) == (
        reader,
        [tmp_path / n for n in expected.split()],
    )
    with pytest.raises(FileNotFoundError, match="no such split"):
        chosen(tmp_path, there, None, "another", apart=False)


def shard(file: Path, **members: bytes) -> None:
    with tarfile.open(file, "w") as archive:
        for i in range(2):
            for name, content in {"png": png(i), "txt": f"picture {i}".encode(), **members}.items():
                entry = tarfile.TarInfo(f"{i}.{name.replace('_', '.')}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def shards_of(folder: Path, **settings: Any) -> list[str]:
    columns: dict[str, Any] = {"image_column": "png", "caption_column": "txt", "size": 9}
    data = Pictures(path=str(folder), train_size=1, test_size=1, **columns, **settings)
    return sorted(data.train()[:]["caption"] + data.test()[:]["caption"])


@pytest.mark.parametrize("streaming", [False, True])
def test_other_members_of_shards_are_not_opened(tmp_path: Path, streaming: bool) -> None:
    """Junk that any decoder would choke on."""
    names = ("pyd", "pickle", "npy", "npz", "pth", "tb", "mp", "cbor", "json_gz", "png_bz2")
    shard(tmp_path / "a.tar", **dict.fromkeys(names, b"\x80\x04cos\nsystem\n(S'false'\ntR."))
    assert shards_of(tmp_path, streaming=streaming) == ["picture 0", "picture 1"]


@pytest.mark.parametrize("streaming", [False, True])
def test_archives_that_grow_are_refused(
    tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(tmp_path / "a.tar")
    monkeypatch.setattr(shards, "MOST_BYTES", 100)
    with pytest.raises(Refusal, match=r"0\.png in a\.tar has \d+ bytes, more than 100"):
        shards_of(tmp_path, streaming=streaming)
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.add(__file__, "0.txt")
    with pytest.raises(Refusal, match=r"cannot open data\.path") as refusal:
        shards_of(tmp_path, streaming=streaming)
    assert "\n" not in str(refusal.value)


def test_a_member_that_grows_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunelab.data.content.MOST_BYTES", 2000)
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", png(i) if i else bytes(10**6))
    data = Pictures(path=str(tmp_path), size=9, test_size=1, on_error="skip")
    assert len(data.train()) == 1
    with pytest.raises(Refusal, match=r"0\.png.*\(more than 2000 bytes\)"):
        [part[:] for part in Pictures(path=str(tmp_path), size=9, test_size=1)._splits]


def test_a_damaged_archive_is_a_bad_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", png(i))
    content = bytearray((tmp_path / "all.zip").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "all.zip").write_bytes(content)
    assert len(Pictures(path=str(tmp_path), size=9, test_size=1, on_error="skip").train()) == 1
    with pytest.raises(Refusal, match=r"0\.png"):
        [part[:] for part in Pictures(path=str(tmp_path), size=9, test_size=1)._splits]


def test_columns_that_would_be_decoded_elsewhere_are_refused(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "text": datasets.List(datasets.Image())})
    media = {"bytes": b"%!PS-Adobe-3.0 EPSF-3.0\n", "path": None}
    rows = [{"image": {"bytes": png(i), "path": None}, "text": [media]} for i in range(2)]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Refusal, match=r"column 'text' of the data holds List\(Image"):
        Pictures(path=str(tmp_path), size=9, test_size=1).train()


@pytest.mark.parametrize("name", ["parquet", "imagefolder", "pandas"])
def test_the_name_of_a_reader_is_no_dataset(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``datasets`` would read the current folder."""
    table(tmp_path / "a.parquet", "a", "b")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="name of a reader"):
        prompts(Path(name))


def test_readers_that_execute_are_unknown() -> None:
    with pytest.raises(Refusal, match=r"data\.builder=pandas is unknown: parquet, "):
        Prompts(path="table.pkl", builder="pandas", train_size=1)


def test_a_part_of_a_local_folder_is_named_by_its_path(tmp_path: Path) -> None:
    table(tmp_path / "a.parquet", "a", "b")
    with pytest.raises(Refusal, match=r"data\.config=small .* data\.path=FOLDER"):
        prompts(tmp_path, config="small")
