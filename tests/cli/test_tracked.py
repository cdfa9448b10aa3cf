"""What W&B holds of a job: a run per stage that was computed, and one that sums the job up."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback import KEY, serving
from offline_runs import Logged, runs
from PIL import Image
from safetensors.torch import load_file

import prunelab.tracking.wandb as tracking
from prunelab.tracking import wandb_service

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def full(first: Any) -> list[Logged]:
    return runs(first.folder)


@pytest.fixture(scope="module")
def summary(full: list[Logged]) -> Logged:
    (found,) = [each for each in full if each.run.job_type == "summary"]
    return found


def listing(folder: Path) -> list[str]:
    """The kinds of the runs that list what is installed."""
    listed = {each.parents[1].name for each in folder.glob("wandb/offline-run-*/files/requirements.txt")}
    return [
        each.run.job_type for each in runs(folder) if any(name.endswith(each.run.run_id) for name in listed)
    ]


def test_a_job_lists_what_is_installed_and_its_stages_do_not(first: Any) -> None:
    assert listing(first.folder) == ["summary"]


def test_a_pretraining_lists_what_is_installed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(recipe: Any, folder: Path, *_: Any) -> Path:
        (folder / "pipeline").mkdir(parents=True)
        return folder

    monkeypatch.setattr("prunelab.cli.jobs.pretraining", made)
    words = ("pretrain", "model=tiny_uig", "task=uig", "logger=wandb")
    assert listing(command(*words, store=tmp_path / "store").folder) == ["pretrain"]


def of(runs: list[Logged], stage: str) -> Logged:
    """The first run of a stage."""
    return next(each for each in runs if each.run.job_type == stage)


def test_every_computed_stage_is_one_run_and_the_job_one_more(full: list[Logged], first: Any) -> None:
    assert [each.run.job_type for each in full] == [*first.computed, "summary"]
    assert {each.exit_code for each in full} == {0}
    assert len({each.run.run_id for each in full}) == len(full)


def test_a_stored_rerun_is_one_run_that_continues_the_summary(summary: Logged, second: Any) -> None:
    (again,) = runs(second.folder)
    assert (again.run.job_type, again.run.run_id) == ("summary", summary.run.run_id)
    assert again.config == summary.config
    assert again.summary.keys() == summary.summary.keys()


def test_the_summary_says_what_the_report_says(summary: Logged, first: Any) -> None:
    said = {}
    for state, row in first.rows().items():
        for name, estimate in row["metrics"].items():
            sides = {"": "value", "/low": "low", "/high": "high"}
            said |= {f"{state}/{name}{end}": estimate[side] for end, side in sides.items()}
        for name in ("parameters", "macs", "nonzeros", "peak_memory_bytes", "disk_bytes"):
            said[f"{state}/{name}"] = row["cost"][name]
        for at, figures in row["cost"]["latency_ms"].items():
            said[f"{state}/latency_ms/{at}"] = figures["median"]
        for name in ("elements", "parameters", "nonzeros", "macs"):
            said[f"{state}/sparsity/{name}"] = row["sparsity"][name]
    known = {name: value for name, value in said.items() if value is not None}
    assert {name: summary.summary.get(name) for name in said} == {name: known.get(name) for name in said}


def test_the_summary_names_the_choices(summary: Logged, first: Any) -> None:
    row = first.rows()["recovered"]
    for name in ("task", "model", "scorer", "granularity", "budget", "recovery", "seed"):
        assert summary.config[name] == row[name]
    assert (summary.config["requested"], summary.config["of"]) == (0.3, "parameters")
    assert summary.config["addresses"] == {state: each["address"] for state, each in first.rows().items()}
    assert {"magnitude", "block", "global", "distill", "tiny_t2i"} <= set(summary.run.tags)
    assert "magnitude" in summary.run.display_name


def test_metrics_are_declared_with_the_better_way(summary: Logged, first: Any) -> None:
    quantities = first.rows()["pruned"]["quantities"]
    assert quantities["frechet_distance"]["better"] == "lower"
    for state in ("dense", "pruned", "recovered"):
        for name, quantity in quantities.items():
            declared = summary.metrics[f"{state}/{name}"].summary
            assert (declared.min, declared.max) == (
                quantity.get("better") == "lower",
                quantity.get("better") == "higher",
            )
            assert summary.config["quantities"][f"{state}/{name}"] == quantity
        assert summary.metrics[f"{state}/macs"].summary.min


def test_hours_of_scoring_and_recovery_are_those_of_the_results(summary: Logged, store: Path) -> None:
    for stage, name in (("score-magnitude", "scoring"), ("recover", "recovery")):
        address = summary.config["addresses"]["recovered"] if stage == "recover" else None
        (folder,) = [store / address] if address else list(store.glob(f"{stage}-*"))
        told = json.loads((folder / "took.json").read_text())
        assert summary.summary[f"recovered/hours/{name}"] == told["seconds"] * told["processes"] / 3600 > 0


def test_samples_of_every_state_are_shown(summary: Logged, first: Any) -> None:
    strips = json.loads((first.folder / "report.json").read_text())["pictures"]
    for strip in strips:
        shown = summary.summary[f"samples/{strip['state']}"]
        assert shown["captions"] == strip["captions"]
        images = [np.asarray(Image.open(summary.folder / "files" / name)) for name in shown["filenames"]]
        assert np.array_equal(
            np.concatenate(images, axis=1), np.asarray(Image.open(first.folder / strip["file"]))
        )


def test_every_stage_has_its_settings_and_its_parents(full: list[Logged], store: Path) -> None:
    for each in full[:-1]:
        record = json.loads((store / each.config["output"] / "artifact.json").read_text())["inputs"]
        assert each.run.run_id == each.config["output"]
        parents = each.config["inputs"]
        told = {
            name: value for name, value in each.config.items() if name not in ("inputs", "output", "_wandb")
        }
        told.pop("quantities", None)
        assert {**told, **parents, "stage": each.run.job_type} == record


def test_lineage_leads_from_the_scores_to_the_report(full: list[Logged], summary: Logged) -> None:
    parents = {made.name: [used.name for used in each.used] for each in full for made in each.made}
    way = [
        summary.config["output"],
        *(of(full, stage).config["output"] for stage in ("recover", "prune", "score")),
    ]
    for child, parent in pairwise(way):
        assert parent in parents[child]
    versions = {(each.name, each.digest) for one in full for each in (*one.made, *one.used)}
    assert len(versions) == len(dict(versions)), "whoever names an address names one version"
    (made,) = [each for each in of(full, "prune").made if each.name == way[2]]
    metadata = json.loads(made.metadata)
    assert metadata["inputs"] == {"scores": way[-1]}
    assert Path(metadata["folder"]).name == way[2]


def test_the_models_themselves_stay_where_they_are(full: list[Logged]) -> None:
    made = [each for one in full for each in one.made if each.type != "run_table"]
    entries = [entry for each in made for entry in each.manifest.contents]
    assert entries
    assert {entry.ref.partition(":")[0] for entry in entries} == {"prunelab"}


def test_training_logs_its_pace_and_samples(full: list[Logged]) -> None:
    trained = of(full, "recover")
    assert trained.series("_step")[-1] == 6
    for name in ("loss", "task", "output", "feature", "learning_rate", "gradient_norm"):
        assert len(trained.series(name)) == 1, "six steps are logged once, at the last"
    assert len(trained.summary["samples"]["filenames"]) == 4


def test_scoring_logs_how_scores_are_distributed(full: list[Logged], store: Path) -> None:
    scored = of(full, "score")
    counted = scored.summary["scores/denoiser · block"]
    (file,) = store.glob("score-magnitude-*/scores.safetensors")
    scores = np.concatenate([tensor.numpy() for tensor in load_file(file).values()])
    assert sum(counted["values"]) == scores.size
    assert (counted["bins"][0], counted["bins"][-1]) == pytest.approx((scores.min(), scores.max()))
    assert picture(scored, "scores/along").size[0] > 400


def test_pruning_logs_the_plan(full: list[Logged], store: Path) -> None:
    pruned = of(full, "prune")
    table = json.loads(pruned.file("plan").read_text())
    plan = load_file(store / pruned.config["output"] / "plan.safetensors")
    shown = {f"{row[0]}/{row[1]}#{row[2]}": (row[4], row[5]) for row in table["data"]}
    assert shown == {name: (keep.numel(), int((~keep).sum())) for name, keep in plan.items()}
    assert picture(pruned, "plan/along").size[0] > 400


def test_timing_logs_what_it_measured(full: list[Logged], first: Any) -> None:
    timed = of(full, "time").summary
    for state, row in first.rows().items():
        for at, figures in row["cost"]["latency_ms"].items():
            assert timed[f"{state}/latency_ms/{at}"] == figures["median"]
            assert timed[f"{state}/latency_ms/{at}/p95"] == figures["p95"]


def test_a_server_that_never_answers_costs_no_result(
    command: Command,
    tiny_trained: tuple[str, ...],
    store: Path,
    first: Any,
    summary: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, seconds in (("ANSWER_SECONDS", 5.0), ("UPLOAD_SECONDS", 4.0)):
        monkeypatch.setattr(tracking, name, seconds)
    monkeypatch.setattr(wandb_service, "STUCK_SECONDS", 8.0)
    words = [*(word for word in tiny_trained if word != "logger=none"), "logger=wandb", "group=another"]
    with serving() as server:
        server.mute.set()
        account = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
        wandb_service.put_away()
        ended = command(*words, store=store, environment=account)
        wandb_service.put_away()
    assert ended.code == 0
    assert ended.rows() == first.rows()
    assert len([line for line in ended.err if line.startswith("W&B")]) == 1
    (kept,) = [each for each in runs(ended.folder) if "recovered/macs" in each.summary]
    numbers = {name: value for name, value in summary.summary.items() if isinstance(value, float | int)}
    assert {name: kept.summary[name] for name in numbers if "/" in name} == {
        name: value for name, value in numbers.items() if "/" in name
    }
    assert len(kept.series("samples/recovered")) == 1
    files = [path for path in ended.folder.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def picture(logged: Logged, name: str) -> Image.Image:
    (file,) = logged.summary[name]["filenames"]
    return Image.open(logged.folder / "files" / file)
