"""``kill -9`` and ``kill`` in the middle of every stage: the same command ends with the same numbers."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from processes import run

DRIVER = Path(__file__).with_name("killed_jobs.py")
# The artifacts that are whole after the death in each stage, by the first word of their names.
WHOLE = {
    "score": ["dense"],
    "prune": ["cost", "dense", "score"],
    "recover": ["cost", "dense", "encode", "prune", "score"],
    "recover's end": ["cost", "dense", "encode", "prune", "score"],
    "sample": ["cost", "dense", "encode", "encode", "prune", "recover", "sample", "score"],
    "time": ["cost", "dense", "encode", "encode", "prune", "recover", "sample", "sample", "sample", "score"],
}
# And after the stop in each stage, where that is not the same.
STOPPED = {
    "encode": sorted([*WHOLE["prune"], "prune"]),
    "sample": sorted([*WHOLE["recover"], "encode", "recover"]),
    "evaluate": sorted([*WHOLE["time"], "time", "judge"]),
}
GATES = (
    *("scorer=learned_gates", "scorer.prompts=2", "scorer.steps=2", "scorer.schedule.steps=4"),
    *("scorer.schedule.batch_size=2", "granularity=head", "until=score"),
)
PRETRAIN = (
    *("pretrain", "model=tiny_uig", "task=uig", "logger=none"),
    *(f"model.pretrain.data.{size}" for size in ("train_size=64", "test_size=8")),
    *(
        f"model.pretrain.{phase}_schedule.{key}"
        for phase in ("judge", "denoiser")
        for key in ("steps=4", "batch_size=4", "warmup=1")
    ),
)
EVERYTHING = sorted([*WHOLE["time"], "time", "cost", "cost", "judge", "evaluate", "evaluate", "evaluate"])


@pytest.fixture(scope="module")
def outcome(
    tiny: tuple[str, ...], tiny_trained: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What became of the jobs of ``killed_jobs.py``."""
    folder = tmp_path_factory.mktemp("kills")
    score = ("scorer=latent_shift", "scorer.samples=2", "scorer.steps=1", "scorer.batch_size=32")
    words = [*tiny_trained, *score, "recovery.schedule.steps=12", "recovery.schedule.checkpoint_every=5"]
    lines = {"run": words, "gates": [*tiny, *GATES], "pretrain": PRETRAIN}
    run(DRIVER, [str(folder), json.dumps(lines)], folder)
    return json.loads((folder / "outcome.json").read_text())


def kinds(job: dict[str, Any]) -> list[str]:
    return sorted(name.partition("-")[0] for name in job["held"])


def rows(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a job's report without what a clock measured, and without its command and date."""
    found = json.loads((Path(job["out"][-1]) / "report.json").read_text())["rows"]
    for row in found:
        row.pop("provenance", None)
        row["cost"].pop("latency_ms")
        row["cost"].pop("dense_latency_ms", None)
    return found


def test_every_job_died_where_it_was_to(outcome: dict[str, Any]) -> None:
    assert outcome["straight"]["code"] == 0
    assert {job["code"] for job in outcome["deaths"].values()} == {-9}
    assert not any(job["out"] for job in outcome["deaths"].values())
    assert {stage: kinds(outcome["deaths"][stage]) for stage in WHOLE} == WHOLE
    assert kinds(outcome["deaths"]["report"]) == EVERYTHING


def test_a_job_that_is_told_to_stop_says_how_to_go_on(outcome: dict[str, Any]) -> None:
    """By the code that shells expect, and one line after those of its progress."""
    assert list(outcome["stops"]) == [
        *("score", "prune", "encode", "recover", "sample", "time", "evaluate", "report")
    ]
    for job in (*outcome["stops"].values(), *(told for _, told, _ in outcome["alone"].values())):
        assert (job["code"], job["out"]) == (128 + signal.SIGTERM, [])
        assert job["err"][-1] == "prunelab: stopped by SIGTERM: run the same command again to resume"
        assert not [line for line in job["err"][:-1] if "prunelab:" in line or "Traceback" in line]
    whole = {**WHOLE, "report": EVERYTHING, **STOPPED}
    assert {stage: kinds(job) for stage, job in outcome["stops"].items()} == {
        stage: whole[stage] for stage in outcome["stops"]
    }


@pytest.mark.parametrize("name", ["gates", "pretrain"])
def test_another_job_s_training_that_is_told_to_stop_ends_with_the_same_weights(
    outcome: dict[str, Any], name: str
) -> None:
    straight, told, last = outcome["alone"][name]
    assert (straight["code"], last["code"]) == (0, 0), last["err"]
    assert weights(Path(straight["store"])) == weights(Path(told["store"])) != {}


def weights(store: Path) -> dict[str, bytes]:
    """The files of tensors that a store holds."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*.safetensors")}


def test_a_training_that_is_told_to_stop_saves_itself(outcome: dict[str, Any]) -> None:
    """In the third step, two before the checkpoint that is due; the next job gets seven further."""
    assert outcome["stops"]["recover"]["checkpoints"] == ["step-000000003.checkpoint"]
    assert outcome["deaths"]["recover"]["checkpoints"] == [
        "step-000000003.checkpoint",
        "step-000000005.checkpoint",
    ]


def test_the_numbers_are_those_of_an_uninterrupted_run(outcome: dict[str, Any]) -> None:
    assert outcome["last"]["code"] == 0
    assert [row["state"] for row in rows(outcome["last"])] == ["dense", "pruned", "recovered"]
    assert rows(outcome["last"]) == rows(outcome["straight"])


def test_nothing_that_was_whole_is_computed_again(outcome: dict[str, Any]) -> None:
    for job in outcome["deaths"].values():
        for name, time in job["held"].items():
            assert outcome["last"]["held"][name] == time


def test_nothing_half_done_is_left_in_the_store(outcome: dict[str, Any]) -> None:
    store = Path(outcome["last"]["out"][-1]).parents[2] / "killed"
    assert list((store / ".partial").iterdir()) == []
    assert kinds(outcome["last"]) == sorted([*EVERYTHING, "outcome"])
