"""Prompts from a text file or a column."""

from pathlib import Path

import datasets
import pytest

from prunelab.core.errors import Refusal
from prunelab.data.prompts import Prompts

from .conftest import png


def test_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a red house\n\n  a blue house \na tree\nüber\n", encoding="utf-8")
    data = Prompts(path=str(file), train_size=1)
    assert data.train().column_names == ["caption"]
    found = [data.train()[:]["caption"], data.test()[:]["caption"]]
    assert [len(each) for each in found] == [1, 3]
    assert sorted(found[0] + found[1]) == ["a blue house", "a red house", "a tree", "über"]
    before = data.fingerprint
    moved = file.rename(tmp_path / "moved.txt")
    assert Prompts(path=str(moved), train_size=1).fingerprint == before


def test_a_column_of_a_table_with_pictures(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": png(i), "path": None}, "caption": f"picture {i}"} for i in range(4)]
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    for streaming in (False, True):
        data = Prompts(
            path=str(tmp_path / "a.parquet"),
            caption_column="caption",
            train_size=1,
            test_size=3,
            streaming=streaming,
        )
        found = data.train()[:]["caption"] + data.test()[:]["caption"]
        assert sorted(found) == [f"picture {i}" for i in range(4)]
        assert data.train().table.column_names == ["caption"], "pictures are not taken along"


def test_an_empty_caption_stops(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a", "", "b"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Refusal, match=r"caption cannot be read: row 1 \(no caption\)"):
        [each[:] for each in Prompts(path=str(tmp_path / "a.parquet"), train_size=1)._splits]
    skipped = Prompts(path=str(tmp_path / "a.parquet"), train_size=1, on_error="skip")
    assert (len(skipped.train()), len(skipped.test())) == (1, 1)


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes("a tree\nüber\n".encode("latin-1"))
    with pytest.raises(Refusal, match=r"prompts\.txt are not UTF-8") as refusal:
        Prompts(path=str(tmp_path / "prompts.txt"), train_size=1).test()
    assert "\n" not in str(refusal.value)
