"""The recipe of the embedded model of sounds, scaled down."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, LDMPipeline
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file

from prunelab.core.waveforms import scaled
from prunelab.data.notes import Notes
from prunelab.judges.listener import Listener
from prunelab.models.mdct import Mdct, as_pictures
from prunelab.models.pipeline import PipelineModel
from prunelab.pretraining.unconditional import Unconditional
from prunelab.pretraining.unconditional_audio_recipe import UnconditionalAudioRecipe
from prunelab.stages.pretrain import pretrain
from prunelab.trainers.hardware import Hardware

CONF = Path(__file__).parents[2] / "conf" / "model" / "tiny_uag.yaml"
PHASES = ("judge", "autoencoder", "denoiser", "pipeline")


def recipe() -> UnconditionalAudioRecipe:
    """The real architecture on few sounds for few steps."""
    full: UnconditionalAudioRecipe = instantiate(OmegaConf.load(CONF).pretrain)
    short = {"steps": 3, "batch_size": 4, "warmup": 1, "checkpoint_every": 2}
    return replace(
        full,
        data=Notes(train_size=48, test_size=8),
        judge_schedule=replace(full.judge_schedule, **short),
        autoencoder=replace(full.autoencoder, schedule=replace(full.autoencoder.schedule, **short)),
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


def test_a_killed_run_ends_in_the_same_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, straight: Path
) -> None:
    loss, calls = Unconditional.loss, iter(range(1, 100))

    def failing(*arguments: object) -> object:
        if next(calls) == 3:
            raise KeyError("the power went")
        return loss(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Unconditional, "loss", failing)
        with pytest.raises(KeyError, match="the power went"):
            pretrain(recipe(), tmp_path, Hardware(), silent)
    assert [name for name in PHASES if (tmp_path / name).exists()] == ["judge", "autoencoder"]
    first, second = weights(straight), weights(pretrain(recipe(), tmp_path, Hardware(), silent))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_pipeline_is_an_ordinary_one(straight: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(straight / "pipeline", local_files_only=True)
    assert isinstance(pipeline, LDMPipeline)
    pipeline.set_progress_bar_config(disable=True)
    assert {tensor.dtype for tensor in weights(straight / "pipeline").values()} == {torch.float16}
    texts = [path.read_text() for path in (straight / "pipeline").rglob("*.json")]
    assert len(texts) == 4
    assert not [text for text in texts if str(straight.parent) in text or "_name_or_path" in text]


def test_the_latents_of_the_data_are_standardised(straight: Path) -> None:
    model = PipelineModel.open("tiny_uag", str(straight / "pipeline"), media=Mdct(8000))
    waveforms = torch.from_numpy(recipe().data.train()[:]["audio"]).to(torch.int16)
    with torch.no_grad():
        latents = model.encode(waveforms)
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 0.01
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(4), rtol=0, atol=0.02)


def test_the_autoencoder_learns_pictures_of_the_mdct(straight: Path) -> None:
    objective = recipe()._reconstruction(straight)
    waveforms = torch.from_numpy(recipe().data.train()[:]["audio"]).to(torch.int16)
    assert torch.equal(objective.images, as_pictures(scaled(waveforms), 128, 2))


def test_the_judge_names_what_the_data_name(straight: Path) -> None:
    judge = Listener.load(straight / "judge")
    assert judge.rate == 8000
    assert judge.labels["timbre"] == ("bell", "pluck", "organ", "kick", "snare")
    assert len(judge.labels["pitch"]) == 13
