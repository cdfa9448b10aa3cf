"""What a run leaves, and what a second one finds in the store."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import prunelab
from prunelab.models.folders import EMBEDDED
from prunelab.report import read_report
from prunelab.report.schema import check_row

Command = Callable[..., Any]
CHOSEN = ("scorer=magnitude", "budget.of=parameters")
METRICS = (
    *("frechet_distance", "kernel_distance", "prompt_accuracy", "ssim", "psnr", "output_distance"),
    "prompt_accuracy_seen",
)


def test_every_stage_is_computed_once(first: Any) -> None:
    assert sorted(first.computed) == sorted(
        [*("dense", "score", "prune", "recover", "judge", "time"), *["encode"] * 2]
        + [stage for stage in ("cost", "sample", "evaluate") for _state in range(3)]
    )


def test_the_last_line_is_the_folder_and_the_table_is_shown(first: Any) -> None:
    assert first.out == [str(first.folder)]
    assert first.folder.is_absolute()
    assert any(line.startswith("recover: 6/6") for line in first.err)
    assert any("Prompt accuracy" in line for line in first.err)
    assert first.err[-1] == f"report: {first.folder / 'report.html'}"


def test_report_json(first: Any) -> None:
    report = read_report(first.folder / "report.json")
    assert report["schema"] == 1
    rows = {row["state"]: row for row in report["rows"]}
    assert list(rows) == ["dense", "pruned", "recovered"]
    for row in rows.values():
        check_row(row)
        assert set(row["metrics"]) == set(METRICS)
        assert set(row["cost"]["latency_ms"]) == {"denoiser_b1", "denoiser_b2"}
        assert set(row["cost"]["components"]) == {"denoiser", "text_encoder", "vae"}
        assert (row["task"], row["model"], row["seed"]) == ("t2i", "tiny_t2i", 0)
    assert len({row["address"] for row in rows.values()}) == 3


def test_rows_name_the_choices_behind_them(first: Any) -> None:
    rows = first.rows()
    named = {
        state: [row[k] for k in ("scorer", "granularity", "budget", "recovery")]
        for state, row in rows.items()
    }
    assert named == {
        "dense": [None, None, None, None],
        "pruned": ["magnitude", "block", "global", None],
        "recovered": ["magnitude", "block", "global", "distill"],
    }
    asked = {state: (row["sparsity"]["requested"], row["sparsity"]["of"]) for state, row in rows.items()}
    assert asked == {"dense": (None, None), "pruned": (0.3, "parameters"), "recovered": (0.3, "parameters")}


def test_achieved_sparsity_and_costs_agree(first: Any) -> None:
    rows = first.rows()
    before, after = (rows[state]["cost"]["components"]["denoiser"] for state in ("dense", "pruned"))
    for key in ("parameters", "nonzeros", "macs"):
        assert rows["pruned"]["sparsity"][key] == pytest.approx(1 - after[key] / before[key])
        assert rows["dense"]["sparsity"][key] == 0
    assert rows["pruned"]["sparsity"]["parameters"] == pytest.approx(0.3, abs=0.06)
    assert rows["pruned"]["cost"]["disk_bytes"] < rows["dense"]["cost"]["disk_bytes"]
    assert rows["recovered"]["cost"]["macs"] == rows["pruned"]["cost"]["macs"]


def test_the_dense_row_is_compared_with_itself(first: Any) -> None:
    metrics = first.rows()["dense"]["metrics"]
    assert metrics["ssim"]["value"] == pytest.approx(1)
    assert metrics["output_distance"] == {"value": 0, "low": 0, "high": 0, "n": 32}
    assert metrics["psnr"] == {"value": None, "low": None, "high": None, "n": 0}
    assert metrics["prompt_accuracy"]["n"] == 8, "prompts, of which each is drawn under two seeds"
    assert first.rows()["pruned"]["metrics"]["output_distance"]["value"] > 0


def test_the_page_stands_alone(first: Any) -> None:
    page = (first.folder / "report.html").read_text()
    assert "<svg" in page
    assert "data:image/png;base64," in page
    for fetched in ('src="http', 'href="http', "<link", "<script src"):
        assert fetched not in page


@pytest.mark.parametrize("state", ["pruned", "recovered"])
def test_saved_models_open_and_draw(first: Any, state: str) -> None:
    folder = first.folder / "models" / state
    pipeline = prunelab.load_pruned(folder)
    parameters = sum(p.numel() for p in pipeline.unet.parameters())
    assert parameters == first.rows()[state]["cost"]["components"]["denoiser"]["parameters"]
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("a red seven on a blue background", num_inference_steps=1, output_type="np").images
    assert image.shape == (1, 32, 32, 3)
    assert not [file for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl", ".pth", ".ckpt")]


def test_an_identical_run_computes_nothing(first: Any, second: Any) -> None:
    assert second.computed == []
    assert second.folder != first.folder
    assert second.rows() == first.rows()


def test_how_it_runs_is_no_part_of_the_result(
    command: Command, tiny_trained: tuple[str, ...], store: Path, first: Any
) -> None:
    other = ("trainer=ddp", "group=another", "recovery.schedule.checkpoint_every=1", "data=digits")
    again = command(*tiny_trained, *other, store=store)
    assert again.computed == []


def test_another_sparsity_scores_nothing(
    command: Command, tiny_trained: tuple[str, ...], store: Path, first: Any
) -> None:
    scores = sorted(store.glob("score-*"))
    other = command(*tiny_trained, "sparsity=0.5", store=store)
    assert sorted(store.glob("score-*")) == scores
    assert sorted(set(other.computed)) == ["cost", "evaluate", "prune", "recover", "sample", "time"]
    assert other.computed.count("sample") == 2
    assert other.rows()["pruned"]["sparsity"]["parameters"] > first.rows()["pruned"]["sparsity"]["parameters"]


def test_another_recovery_starts_from_the_same_pruned_model(
    command: Command, tiny_trained: tuple[str, ...], store: Path, first: Any
) -> None:
    other = command(*tiny_trained, "recovery=finetune", store=store)
    assert sorted(other.computed) == ["cost", "evaluate", "recover", "sample", "time"]
    assert other.rows()["pruned"]["address"] == first.rows()["pruned"]["address"]
    assert other.rows()["recovered"]["address"] != first.rows()["recovered"]["address"]


def test_the_noise_of_the_evaluation_is_not_the_seeds(
    command: Command, tiny: tuple[str, ...], store: Path, first: Any
) -> None:
    """``seed`` changes the plan of a random scorer; the dense model's samples stay those of the first run."""
    other = command(*tiny, "scorer=random", "seed=1", store=store)
    assert other.computed.count("score") == 1
    assert other.computed.count("sample") == 1, "of the pruned model"
    assert other.rows()["dense"]["seed"] == 1
    assert other.rows()["dense"]["metrics"] == first.rows()["dense"]["metrics"]


def test_sparsity_zero_is_the_dense_model(
    command: Command, tiny: tuple[str, ...], store: Path, first: Any
) -> None:
    rows = command(*tiny, *CHOSEN, "sparsity=0", store=store).rows()
    assert rows["pruned"]["metrics"] == rows["dense"]["metrics"]
    assert rows["pruned"]["metrics"]["ssim"]["value"] == 1
    assert rows["pruned"]["metrics"]["output_distance"]["value"] == 0
    assert rows["pruned"]["cost"]["macs"] == rows["dense"]["cost"]["macs"]
    assert rows["pruned"]["sparsity"]["elements"] == 0


def altered(folder: Path) -> None:
    """Flip one bit in the middle of the artifact's largest file."""
    file = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_altered_artifacts_are_rebuilt(
    command: Command, tiny_trained: tuple[str, ...], store: Path, first: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    damaged = [folder for folder in copy.iterdir() if not folder.name.startswith(".")]
    for folder in damaged:
        altered(folder)
    again = command(*tiny_trained, store=copy)
    assert sorted(again.computed) == sorted(first.computed)
    assert again.numbers() == first.numbers()


def test_the_scores_are_those_of_the_scorer(store: Path, first: Any) -> None:
    """Mean absolute weight per block, taken from the file that the package carries."""
    (scored,) = store.glob("score-magnitude-*")
    scores = load_file(scored / "scores.safetensors")
    weights = load_file(EMBEDDED / "tiny_t2i" / "unet" / "diffusion_pytorch_model.safetensors")
    for name, score in scores.items():
        path = name.removeprefix("denoiser/").partition("#")[0]
        spared = f"{path}.conv_shortcut."
        inside = [
            w.double().abs().flatten()
            for k, w in weights.items()
            if k.startswith(f"{path}.") and not k.startswith(spared)
        ]
        assert score.item() == pytest.approx(torch.cat(inside).mean().item())


def test_one_report_of_all_runs_below_a_folder(
    command: Command, tiny: tuple[str, ...], store: Path, first: Any, tmp_path: Path
) -> None:
    shutil.copytree(first.folder, tmp_path / "runs" / "deep" / "first")
    other = command(*tiny, *CHOSEN, "sparsity=0", store=store)
    shutil.copytree(other.folder, tmp_path / "runs" / "second")
    combined = command("report", f"path={tmp_path / 'runs'}", "logger=none", store=store)
    report = read_report(combined.folder / "report.json")
    states = [(row["state"], row["sparsity"]["requested"]) for row in report["rows"]]
    assert sorted(states, key=str) == [("dense", None), ("pruned", 0), ("pruned", 0.3), ("recovered", 0.3)]
    assert (combined.folder / "report.html").is_file()
    assert combined.computed == []
