"""A folder says what made it, and ``prunelab rerun`` makes it again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import prunelab
from prunelab.cli import provenance
from prunelab.cli.rerun import Repeated
from prunelab.core.errors import Refusal

Command = Callable[..., Any]


def said(record: dict[str, Any]) -> list[str]:
    """The words of a record, but for where the run was logged."""
    return [word for word in record["words"] if not word.startswith("logger=")]


def test_a_run_leaves_what_made_it(first: Any, tiny_trained: tuple[str, ...]) -> None:
    record = provenance.read(first.folder)
    assert record["words"][0] == "run"
    assert sorted(said(record)) == sorted(["run", *tiny_trained[1:]])
    assert record["command"] == " ".join(["prunelab", *record["words"]])
    assert record["version"] == prunelab.__version__
    assert {"python", "torch", "diffusers", "hydra-core"} <= record["libraries"].keys()
    assert record["hardware"]["device"] == "cpu"
    assert record["config"]["budget"]["of"] == "parameters"
    assert record["config"]["recovery"]["schedule"]["steps"] == 6
    rows = json.loads((first.folder / "report.json").read_text())["rows"]
    for row in rows:
        assert row["provenance"] == {key: record[key] for key in row["provenance"]}
        assert row["conditions"].keys() == {"weights", "data", "judge", "evaluation", "hardware"}
        assert row["conditions"] == rows[0]["conditions"]
        assert row["addresses"][row["address"]] == row["address"].partition("-")[0]
    assert set(rows[2]["addresses"].values()) == {"sample", "recover", "prune", "score"}
    assert [row.get("control") for row in rows] == [None, True, True]


def test_models_carry_a_card(first: Any) -> None:
    for state in ("pruned", "recovered"):
        text = (first.folder / "models" / state / "README.md").read_text("utf-8")
        assert f"# tiny_t2i, {state}" in text
        assert "license: apache-2.0" in text
        assert provenance.read(first.folder)["command"] in text


def test_layers_are_the_removed_shares_in_the_networks_order(first: Any) -> None:
    layers = first.rows()["pruned"]["layers"]
    assert list(layers) == sorted(layers), "of a U-Net with fewer than ten of anything"
    assert set(layers.values()) == {0.0, 1.0}, "blocks go whole"


def test_it_is_repeated_with_one_word_changed(
    command: Command, first: Any, store: Path, tiny_trained: tuple[str, ...]
) -> None:
    again = command("rerun", str(first.folder), "evaluation.timing.repeats=3", store=store)
    assert again.computed == ["time"], "all else is in the store"
    record = provenance.read(again.folder)
    kept = [word for word in tiny_trained[1:] if "repeats" not in word]
    assert sorted(said(record)) == sorted(["run", *kept, "evaluation.timing.repeats=3"])
    told = [line for line in again.err if line.startswith("rerun: ")]
    assert told == ["rerun: settings that differ from the folder's: evaluation.timing.repeats: 2, now 3"]


def test_what_changed_since_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = provenance.made(["plan"])
    old = {**made, "version": "0.0.1", "libraries": {**made["libraries"], "torch": "1.0"}}
    (tmp_path / "provenance.json").write_text(json.dumps({"schema": 1, "words": ["plan"], **old}))
    repeated = Repeated(["rerun", str(tmp_path), "sparsity=0.1"])
    assert repeated.words == ["plan", "sparsity=0.1"]
    repeated.check_versions()
    line = capsys.readouterr().err
    assert f"prunelab was 0.0.1 and is {prunelab.__version__}; torch was 1.0 and is" in line


def test_a_sweep_is_repeated_whole(tmp_path: Path) -> None:
    words = ["-m", "sparsity=0.1,0.3", "hydra.sweep.dir=here"]
    provenance.leave_sweep(tmp_path, words)
    assert Repeated(["rerun", str(tmp_path)]).words == words[:2], "in a folder of its own"


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"schema": 1, "words": [1]}', '{"words": ["run"]}']
)
def test_a_folder_that_no_run_left_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(Refusal, match=r"provenance\.json"):
        Repeated(["rerun", str(tmp_path)])
    with pytest.raises(Refusal, match="rerun of what"):
        Repeated(["rerun"])


def test_what_comes_from_the_environment_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "dear secret")
    written = {"key": "${oc.env:SOME_KEY}", "same": "${key}", "plain": "${other}", "other": 3}
    assert provenance.settings(OmegaConf.create(written)) == {
        "key": "${oc.env:SOME_KEY}",
        "same": "${oc.env:SOME_KEY}",
        "plain": 3,
        "other": 3,
    }


def test_a_schedulers_job_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1", "SLURM_RESTART_COUNT": "2"}.items():
        monkeypatch.setenv(name, value)
    assert provenance.made(["run"])["job"] == {"SLURM job": "7", "node": "n1", "restarts": "2"}
