"""The recipe of the embedded model, scaled down: killed and resumed it gives the same weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file

from prunelab.core.errors import Refusal
from prunelab.data.digits import Digits
from prunelab.judges.classifier import Judge
from prunelab.pretraining.text_to_image_recipe import TextToImageRecipe
from prunelab.stages.pretrain import Log, pretrain
from prunelab.trainers.hardware import Hardware

CONF = Path(__file__).parents[2] / "conf" / "model" / "tiny_t2i.yaml"


def recipe() -> TextToImageRecipe:
    """The real architecture on few pictures for few steps."""
    full: TextToImageRecipe = instantiate(OmegaConf.load(CONF).pretrain)
    short = {"steps": 4, "batch_size": 4, "warmup": 1, "checkpoint_every": 2}
    return replace(
        full,
        data=Digits(train_size=64, test_size=8),
        judge_schedule=replace(full.judge_schedule, **short),
        autoencoder_schedule=replace(full.autoencoder_schedule, **short),
        denoiser_schedule=replace(full.denoiser_schedule, **short),
    )


def silent(values: Mapping[str, float], step: int) -> None:
    """A log that keeps nothing."""


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts."""
    return pretrain(recipe(), tmp_path_factory.mktemp("straight"), Hardware(), silent)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor below ``folder``."""
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{path.relative_to(folder)}:{name}": t for path in files for name, t in load_file(path).items()}


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def killed_in(monkeypatch: pytest.MonkeyPatch, target: str, call: int, folder: Path) -> None:
    """Start the recipe and let the given function fail at its n-th call."""
    package, _, name = target.rpartition(".")
    module, _, owner = package.rpartition(".")
    holder = getattr(__import__(module, fromlist=[owner]), owner)
    original, calls = getattr(holder, name), iter(range(1, 1000))

    def failing(*arguments: object, **keywords: object) -> object:
        if next(calls) == call:
            raise KeyError("the power went")
        return original(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, failing)
        with pytest.raises(KeyError, match="the power went"):
            pretrain(recipe(), folder, Hardware(), silent)


@pytest.mark.parametrize(
    ("target", "call", "finished"),
    [
        ("prunelab.pretraining.naming.Naming.loss", 4, []),
        ("prunelab.pretraining.autoencoder.Reconstruction.loss", 4, ["judge"]),
        ("prunelab.pretraining.denoiser.Denoising.loss", 3, ["autoencoder", "judge"]),
        (
            "prunelab.pretraining.text_to_image_recipe.TextToImageRecipe._tokenizer",
            2,
            ["autoencoder", "denoiser", "judge"],
        ),
    ],
)
def test_a_killed_run_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    straight: Path,
    target: str,
    call: int,
    finished: list[str],
) -> None:
    killed_in(monkeypatch, target, call, tmp_path)
    done = {name: (tmp_path / name).stat().st_mtime_ns for name in finished}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in PHASES) == finished
    pretrain(recipe(), tmp_path, Hardware(), silent)
    assert same(straight, tmp_path)
    assert done == {name: (tmp_path / name).stat().st_mtime_ns for name in finished}
    assert not (tmp_path / "checkpoints").exists()


PHASES = ("judge", "autoencoder", "denoiser", "pipeline")


def test_the_same_recipe_gives_the_same_weights(straight: Path, tmp_path: Path) -> None:
    assert same(straight, pretrain(recipe(), tmp_path / "again", Hardware(), silent))
    other = pretrain(replace(recipe(), seed=1), tmp_path / "other", Hardware(), silent)
    assert not same(straight, other)


def test_the_pipeline_is_an_ordinary_one(straight: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(straight / "pipeline", local_files_only=True)
    assert isinstance(pipeline, StableDiffusionPipeline)
    pipeline.set_progress_bar_config(disable=True)
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert {part.dtype for part in parts} == {torch.float32}
    assert {tensor.dtype for tensor in weights(straight / "pipeline").values()} == {torch.float16}
    images = pipeline("a red seven on a blue background", num_inference_steps=2, output_type="np").images
    assert images.shape == (1, 32, 32, 3)


def test_no_file_of_the_pipeline_names_a_folder_of_this_machine(straight: Path) -> None:
    texts = [path.read_text() for path in (straight / "pipeline").rglob("*.json")]
    assert len(texts) == 7
    assert not [text for text in texts if str(straight.parent) in text]


def test_the_tokenizer_knows_every_word(straight: Path) -> None:
    tokenizer = DiffusionPipeline.from_pretrained(straight / "pipeline").tokenizer
    caption = "a red seven on a blue background"
    tokens = tokenizer(caption, padding="max_length").input_ids
    assert len(tokens) == tokenizer.model_max_length
    assert tokenizer.unk_token_id not in tokens
    assert tokenizer.decode(tokens, skip_special_tokens=True) == caption
    assert tokens != tokenizer("a red six on a blue background", padding="max_length").input_ids
    assert tokenizer.unk_token_id in tokenizer("a mauve seven").input_ids


def test_the_latents_are_scaled_to_unit_variance(straight: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(straight / "pipeline")
    images = torch.from_numpy(recipe().data.train()[:]["image"]).float() / 127.5 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(images).latent_dist.mode() * pipeline.vae.config.scaling_factor
    assert latents.std().item() == pytest.approx(1, abs=0.01)


def test_the_judge_names_what_the_data_name(straight: Path) -> None:
    judge = Judge.load(straight / "judge")
    assert {label: len(names) for label, names in judge.labels.items()} == {
        "digit": 10,
        "foreground": 8,
        "background": 8,
    }
    assert judge.labels["digit"][7] == "seven"


def test_every_loss_is_logged_under_its_phase(tmp_path: Path) -> None:
    logged = list[tuple[str, int]]()

    def log(values: Mapping[str, float], step: int) -> None:
        logged.extend((name, step) for name in values if name.endswith("/loss"))

    keep: Log = log
    pretrain(recipe(), tmp_path, Hardware(), keep)
    assert logged == [("judge/loss", 4), ("autoencoder/loss", 8), ("denoiser/loss", 12)]


def test_the_folder_of_another_recipe_is_refused(straight: Path) -> None:
    with pytest.raises(Refusal, match="another recipe"):
        pretrain(replace(recipe(), drop=0.5), straight, Hardware(), silent)


def test_how_often_it_is_saved_is_no_part_of_the_recipe() -> None:
    rarely = replace(recipe(), judge_schedule=replace(recipe().judge_schedule, checkpoint_every=1000))
    longer = replace(recipe(), judge_schedule=replace(recipe().judge_schedule, steps=1000))
    assert rarely.fingerprint == recipe().fingerprint != longer.fingerprint
