"""Pictures from folders, tables and streams: the right pixels, repeatable splits, bad files named."""

import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from prunelab.core.errors import Refusal
from prunelab.data.pictures import Pictures, picture
from prunelab.data.rows import KEPT_BYTES, Rows

from .conftest import png

Captioned = Callable[..., Path]
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
BOMB = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 65000, 65000, 1, 24, 0, 0, 0, 0, 0, 0)


def captions(rows: Rows) -> list[str]:
    found: list[str] = rows[:]["caption"]
    return found


def everything(data: Pictures) -> list[Any]:
    return [data.train()[:], data.test()[:]]


def test_the_middle_square_of_a_picture_as_it_is() -> None:
    whole = np.asarray(Image.open(io.BytesIO(png(0)))).transpose(2, 0, 1)
    assert np.array_equal(picture(png(0), 9, 3), whole[:, :, 1:10])
    tall = np.asarray(Image.open(io.BytesIO(png(1, 12, 9)))).transpose(2, 0, 1)
    assert np.array_equal(picture(png(1, 12, 9), 9, 3), tall[:, 1:10, :])


def test_grey_transparent_and_turned_pictures() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    assert np.array_equal(picture(buffer.getvalue(), 6, 3), pixels[..., :3].transpose(2, 0, 1))
    grey = picture(buffer.getvalue(), 6, 1)
    weights = pixels[..., :3].astype(float) @ [0.299, 0.587, 0.114]
    assert grey.shape == (1, 6, 6)
    assert np.abs(grey[0] - weights).max() <= 1
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned by a quarter, clockwise
    Image.fromarray(pixels[..., :3]).save(turned := io.BytesIO(), "png", exif=exif)
    clockwise = np.rot90(pixels[..., :3], -1)
    assert np.array_equal(picture(turned.getvalue(), 6, 3), clockwise.transpose(2, 0, 1))


def test_a_smaller_picture_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(buffer := io.BytesIO(), "png")
    assert np.abs(picture(buffer.getvalue(), 8, 3)[:, :, 1:-1].astype(int) - 127).max() <= 3


def test_a_captioned_folder(captioned: Captioned) -> None:
    data = Pictures(path=str(captioned(10)), size=9, test_size=3)
    train, test = data.train(), data.test()
    assert (len(train), len(test)) == (7, 3)
    assert sorted(captions(train) + captions(test)) == [f"picture {i}" for i in range(10)]
    assert captions(train) != sorted(captions(train)), "in a seeded order"
    for split in (train, test):
        rows = split[:]
        assert (rows["image"].dtype, rows["image"].shape[1:]) == (np.uint8, (3, 9, 9))
        for text, image in zip(rows["caption"], rows["image"], strict=True):
            assert np.array_equal(image, picture(png(int(text.split()[1])), 9, 3))
    again = Pictures(path=data.path, size=9, test_size=3)
    assert captions(again.test()) == captions(test)
    other = Pictures(path=data.path, size=9, test_size=3, seed=1)
    assert captions(other.test()) != captions(test)
    fewer = Pictures(path=data.path, size=9, test_size=3, train_size=2)
    assert captions(fewer.train()) == captions(train)[:2]
    assert captions(fewer.test()) == captions(test)


def test_captions_that_nobody_wants_may_be_missing(captioned: Captioned) -> None:
    folder = captioned(5)
    (folder / "001.txt").unlink()
    data = Pictures(path=str(folder), size=9, test_size=2, caption_column=None)
    assert (data.train().column_names, len(data.train())) == (["image"], 3)
    found = {image.tobytes() for image in np.concatenate([part["image"] for part in everything(data)])}
    assert found == {picture(png(i), 9, 3).tobytes() for i in range(5)}


def test_rows_by_number_slice_and_list(captioned: Captioned) -> None:
    rows = Pictures(path=str(captioned(6)), size=4, test_size=1).train()
    whole = rows[:]
    assert rows.column_names == ["image", "caption"]
    assert rows[2]["caption"] == whole["caption"][2]
    assert np.array_equal(rows[[4, 1, 4]]["image"], whole["image"][[4, 1, 4]])
    only = rows.select_columns(["caption"])
    assert (only.column_names, only[1:3]) == (["caption"], {"caption": whole["caption"][1:3]})


def test_captions_alone_open_no_picture(captioned: Captioned) -> None:
    folder = captioned(6)
    data = Pictures(path=str(folder), size=4, test_size=2)
    for split, count in ((data.train(), 4), (data.test(), 2)):
        for file in folder.glob("*.png"):
            file.unlink()
        assert len(captions(split.select_columns(["caption"]))) == count
    with pytest.raises(Refusal, match="image cannot be read"):
        data.test()[:]


def test_a_picture_is_decoded_once(captioned: Captioned, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    original = Image.open

    def counted(*arguments: Any) -> Any:
        decoded.append(1)
        return original(*arguments)

    monkeypatch.setattr(Image, "open", counted)
    rows = Pictures(path=str(captioned(6)), size=4, test_size=2).train()
    rows.select_columns(["caption"])[:]
    assert decoded == []
    first = rows[:]["image"]
    assert len(decoded) == 4
    assert np.array_equal(rows.select_columns(["image"])[:]["image"], first)
    assert len(decoded) == 4
    assert rows.kept.room == KEPT_BYTES - first.nbytes
    rows.kept.media.clear()
    rows.kept.room = 0
    assert np.array_equal(rows[:]["image"], first)
    assert rows.kept.media == {}


def test_a_folder_with_metadata_and_one_with_classes(tmp_path: Path) -> None:
    (tmp_path / "described").mkdir()
    lines = []
    for i in range(4):
        (tmp_path / "described" / f"{i}.png").write_bytes(png(i))
        lines.append(json.dumps({"file_name": f"{i}.png", "says": f"picture {i}"}))
        place = tmp_path / "sorted" / ("cat" if i % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(png(i))
    (tmp_path / "described" / "metadata.jsonl").write_text("\n".join(lines))
    described = Pictures(path=str(tmp_path / "described"), size=9, test_size=1, caption_column="says")
    rows = described.train()[:]
    for text, image in zip(rows["caption"], rows["image"], strict=True):
        assert np.array_equal(image, picture(png(int(text.split()[1])), 9, 3))
    numbered = Pictures(path=str(tmp_path / "sorted"), size=9, test_size=1, caption_column="label").train()[:]
    classes = Pictures(path=str(tmp_path / "sorted"), size=9, test_size=1, labels={"animal": "label"})
    rows = classes.train()[:]
    assert classes.train().column_names == ["image", "animal"]
    numbers = {picture(png(i), 9, 3).tobytes(): i % 2 == 0 for i in range(4)}  # cat is 0, dog is 1
    assert [numbers[image.tobytes()] for image in rows["image"]] == list(rows["animal"])
    asked = [str(int(numbers[image.tobytes()])) for image in numbered["image"]]
    assert numbered["caption"] == asked


def parquet(folder: Path, count: int, name: str, **columns: Any) -> Path:
    """A table as the hub has them: pictures inside, captions, several to a picture."""
    features = datasets.Features({"img": datasets.Image(), "texts": datasets.List(datasets.Value("string"))})
    rows = [
        {"img": {"bytes": png(i), "path": None}, "texts": [f"picture {i}", "another"]} for i in range(count)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(folder / name)
    return folder / name


@pytest.mark.parametrize("streaming", [False, True])
def test_a_table_in_a_file(tmp_path: Path, streaming: bool) -> None:
    file = parquet(tmp_path, 12, "table.parquet")
    settings: dict[str, Any] = {
        "size": 9,
        "image_column": "img",
        "caption_column": "texts",
        "train_size": 5,
        "test_size": 3,
        "streaming": streaming,
    }
    data = Pictures(path=str(file), **settings)
    train, test = data.train()[:], data.test()[:]
    assert (len(train["caption"]), len(test["caption"])) == (5, 3)
    assert set(train["caption"]) & set(test["caption"]) == set()
    for part in (train, test):
        for text, image in zip(part["caption"], part["image"], strict=True):
            assert np.array_equal(image, picture(png(int(text.split()[1])), 9, 3))
    again = Pictures(path=str(file), **settings).train()[:]
    assert again["caption"] == train["caption"]
    other = Pictures(path=str(file), **settings, seed=1).train()[:]
    assert other["caption"] != train["caption"]


def test_splits_of_their_own(tmp_path: Path) -> None:
    parquet(tmp_path / "all" / "train", 5, "a.parquet")
    parquet(tmp_path / "all" / "test", 2, "b.parquet")
    data = Pictures(
        path=str(tmp_path / "all"),
        builder="parquet",
        test_split="test",
        image_column="img",
        caption_column="texts",
    )
    assert sorted(captions(data.train())) == [f"picture {i}" for i in range(5)]
    assert sorted(captions(data.test())) == ["picture 0", "picture 1"]
    missing = Pictures(path=str(tmp_path / "all"), builder="parquet", test_split="valid", image_column="img")
    with pytest.raises(Refusal, match=r"split 'valid' \(no .parquet files in .*valid\)"):
        missing.test()


def test_paths_in_a_table_start_at_its_folder(tmp_path: Path) -> None:
    """As LAION's downloads can be laid out."""
    (tmp_path / "0").mkdir()
    for i in range(3):
        (tmp_path / "0" / f"{i}.png").write_bytes(png(i))
    table = {"file": [f"0/{i}.png" for i in range(3)], "TEXT": [f"picture {i}" for i in range(3)]}
    datasets.Dataset.from_dict(table).to_parquet(tmp_path / "part.parquet")
    settings = {"builder": "parquet", "image_column": "file", "caption_column": "TEXT", "test_size": 1}
    data = Pictures(path=str(tmp_path), size=9, **settings)
    rows = data.train()[:]
    for text, image in zip(rows["caption"], rows["image"], strict=True):
        assert np.array_equal(image, picture(png(int(text.split()[1])), 9, 3))
    outside = Pictures(path=str(tmp_path / "part.parquet"), size=9, **settings)
    with pytest.raises(Refusal, match="relative to the folder"):
        outside.train()[:]
    table["file"] = [f"https://example.org/{i}.png" for i in range(3)]
    datasets.Dataset.from_dict(table).to_parquet(tmp_path / "part.parquet")
    with pytest.raises(Refusal, match="holds addresses"):
        Pictures(path=str(tmp_path), size=9, **settings).train()[:]


@pytest.mark.parametrize("inside", [True, False])
def test_media_with_paths_lie_in_the_folder(tmp_path: Path, inside: bool) -> None:
    """Laid out as ``datasets`` stores pictures that it has not read."""
    folder = tmp_path / "table"
    folder.mkdir()
    good = [f"{i}.png" for i in range(2)]
    for name in good:
        (folder / name).write_bytes(png(0))
        (tmp_path / name).write_bytes(png(0))
    media = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"image": media})

    def pictures(*paths: str, place: Path = folder) -> Any:
        rows = [{"image": {"bytes": None, "path": path}} for path in paths]
        datasets.Dataset.from_list(rows, features=features).to_parquet(folder / "a.parquet")
        return everything(Pictures(path=str(place), builder="parquet", size=9, test_size=1))

    if inside:
        for paths in (good, [str(folder / name) for name in good]):
            assert np.array_equal(pictures(*paths)[0]["image"], picture(png(0), 9, 3)[None])
        return
    for path in ("{}/../{}", "../{1}", "zip://a.png::{}/../a.zip", "tar://a::b::{}/{}"):
        with pytest.raises(Refusal, match="lie in the folder"):
            pictures(*[path.format(folder, name) for name in good])
    with pytest.raises(Refusal, match="lie in the folder"):
        pictures(*good, place=folder / "a.parquet")
    for address in ("https://example.org/{}", "zip://a.png::https://example.org/{}"):
        with pytest.raises(Refusal, match="holds addresses"):
            pictures(*[address.format(name) for name in good])


def test_an_archive_in_a_folder_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for i in range(2):
            archive.writestr(f"{i}.png", png(0))
    rows = Pictures(path=str(tmp_path), size=9, test_size=1).train()[:]
    assert np.array_equal(rows["image"], picture(png(0), 9, 3)[None])


@pytest.mark.parametrize("streaming", [False, True])
def test_a_truncated_archive_is_one_line(tmp_path: Path, streaming: bool) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i in range(8):
            for name, content in ((f"{i}.png", png(i)), (f"{i}.txt", b"a picture")):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 14 * 1024 + 600])
    data = Pictures(
        path=str(tmp_path),
        builder="webdataset",
        image_column="png",
        caption_column="txt",
        size=4,
        train_size=7,
        test_size=1,
        streaming=streaming,
        on_error="skip",
    )
    with pytest.raises(Refusal, match=r"split 'train' \(unexpected end of data\)") as refusal:
        data.train()
    assert "\n" not in str(refusal.value)


def test_captions_are_read_where_they_are_asked_for(captioned: Captioned) -> None:
    folder = captioned(4)
    (folder / "001.txt").unlink()
    data = Pictures(path=str(folder), size=4, test_size=1)
    assert [len(part.select_columns(["image"])[:]["image"]) for part in data._splits] == [3, 1]
    with pytest.raises(Refusal, match=r"001.png \(no caption\)"):
        everything(data)


@pytest.mark.parametrize("streaming", [False, True])
def test_too_few_rows_are_told(tmp_path: Path, streaming: bool, capsys: pytest.CaptureFixture[str]) -> None:
    file = parquet(tmp_path, 6, "a.parquet")
    settings: dict[str, Any] = {"image_column": "img", "test_size": 2, "streaming": streaming}
    data = Pictures(path=str(file), train_size=9, **settings)
    assert (len(data.train()), len(data.test())) == (4, 2)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("data: ")]
    assert told == ["data: data.train_size=9 gets 4 rows: split 'train' has 6 in all"]
    assert len(Pictures(path=str(file), train_size=4, **settings).train()) == 4
    assert "data: " not in capsys.readouterr().err


def damaged(folder: Path) -> None:
    """A file cut off, one that is no picture, and one without a caption."""
    (folder / "001.png").write_bytes(png(1)[:100])
    (folder / "004.png").write_text("no picture")
    (folder / "006.txt").unlink()


def test_bad_files_are_skipped_and_named(captioned: Captioned, capsys: pytest.CaptureFixture[str]) -> None:
    folder = captioned(9)
    damaged(folder)
    data = Pictures(path=str(folder), size=4, test_size=2, on_error="skip")
    texts = captions(data.train()) + captions(data.test())
    assert sorted(texts) == [f"picture {i}" for i in (0, 2, 3, 5, 7, 8)]
    assert len(data.train()[:]["image"]) == 4
    line = capsys.readouterr().err
    assert line.startswith("data: 3 of 9 rows left out: ")
    assert line.count("\n") == 1
    assert all(name in line for name in ("001.png", "004.png", "no caption"))


def test_a_subset_is_filled_up_with_what_can_be_read(captioned: Captioned) -> None:
    folder = captioned(9)
    damaged(folder)
    data = Pictures(path=str(folder), size=4, test_size=2, train_size=3, on_error="skip")
    whole = Pictures(path=str(folder), size=4, test_size=2, on_error="skip")
    assert captions(data.test()) == captions(whole.test())
    assert captions(data.train()) == captions(whole.train())[:3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("001.png", b"no picture", "001.png"),
        ("001.txt", b" \n", r"001.png \(no caption\)"),
        ("001.txt", "über".encode("latin-1"), r"001.png \(no caption\)"),
        ("001.txt", b"long " * 2**20, r"001.png \(a caption of more than 65536 characters\)"),
        ("001.png", POSTSCRIPT, r"001.png \(not a picture in one of the formats PNG, "),
        ("001.png", BOMB, r"001.png \(65000 x 65000 pixels|001.png \(Image size \(4225000000 pixels\)"),
    ],
)
def test_a_bad_file_stops(captioned: Captioned, name: str, content: bytes, message: str) -> None:
    folder = captioned(4)
    (folder / name).write_bytes(content)
    with pytest.raises(Refusal, match=message) as refusal:
        everything(Pictures(path=str(folder), size=4, test_size=1))
    assert len(str(refusal.value)) < 500
    assert "\n" not in str(refusal.value)
    skipped = Pictures(path=str(folder), size=4, test_size=1, on_error="skip")
    assert sorted(captions(skipped.train()) + captions(skipped.test())) == [f"picture {i}" for i in (0, 2, 3)]


def test_content_counts_and_its_place_does_not(captioned: Captioned, tmp_path: Path) -> None:
    folder = captioned(3)
    before = Pictures(path=str(folder), size=4, test_size=1).fingerprint
    moved = shutil.move(folder, tmp_path / "moved")
    os.utime(moved / "000.png", (0, 0))
    assert Pictures(path=str(moved), size=4, test_size=1, cache="elsewhere").fingerprint == before
    changes = [{"size": 5}, {"seed": 1}, {"on_error": "skip"}, {"test_size": 2}]
    others = {
        Pictures(**{"path": str(moved), "size": 4, "test_size": 1, **each}).fingerprint for each in changes
    }
    (moved / "001.txt").write_text("another picture")
    others.add(Pictures(path=str(moved), size=4, test_size=1).fingerprint)
    (moved / "001.txt").rename(moved / "009.txt")
    others.add(Pictures(path=str(moved), size=4, test_size=1).fingerprint)
    assert len(others | {before}) == 7
    hub = [Pictures(path="who/what", test_size=1, revision=r).fingerprint for r in ("a", "a", "b")]
    assert hub[0] == hub[1] != hub[2]


def test_what_is_not_there(captioned: Captioned, tmp_path: Path) -> None:
    folder = captioned(3)
    with pytest.raises(Refusal, match=r"data.path=who/what.*local folder.*HF_HUB_OFFLINE=1"):
        Pictures(path="who/what", test_size=1).train()
    with pytest.raises(Refusal, match=r"data\.path is not set"):
        Pictures(test_size=1).train()
    with pytest.raises(Refusal, match="has 3 rows in split 'train': too few"):
        Pictures(path=str(folder), test_size=3).train()
    with pytest.raises(Refusal, match="no column 'photo' for the image: it has"):
        Pictures(path=str(parquet(tmp_path, 2, "a.parquet")), image_column="photo", test_size=1).train()
    (tmp_path / "broken.parquet").write_text("no table")
    with pytest.raises(Refusal, match=r"cannot open data\.path=.*Parquet"):
        Pictures(path=str(tmp_path / "broken.parquet"), test_size=1).train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "ignore"}, "on_error=ignore is unknown: choose from stop, skip"),
        ({}, "set data.test_size"),
        ({"test_size": 0}, "test_size=0 is too small: at least 1"),
        ({"test_size": 1, "streaming": True}, "set data.train_size"),
        ({"test_size": 1, "channels": 2}, "channels=2 is unknown: choose from 1, 3"),
        ({"test_size": 1, "size": 0}, "size=0 is too small: at least 1"),
        ({"test_size": 1, "labels": {"x": "label", "y": "label"}}, "'label' is given as x and y"),
        ({"test_size": 1, "image_column": "text"}, "'text' is given as image and caption"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        Pictures(path="who/what", **settings)
