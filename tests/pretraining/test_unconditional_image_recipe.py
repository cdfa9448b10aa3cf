"""The recipes of the unconditional image models, scaled down, and the weights that came of the whole ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DiffusionPipeline, LDMPipeline
from diffusers.models.unets.unet_2d import UNet2DOutput
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file

from prunelab.core.draws import normal
from prunelab.core.protocols import Model
from prunelab.data.grey_digits import GreyDigits
from prunelab.judges.classifier import Judge
from prunelab.models.folders import EMBEDDED
from prunelab.models.pipeline import PipelineModel
from prunelab.pretraining.unconditional import Unconditional
from prunelab.pretraining.unconditional_image_recipe import UnconditionalImageRecipe
from prunelab.stages.pretrain import pretrain
from prunelab.trainers.hardware import Hardware

CONF = Path(__file__).parents[2] / "conf" / "model"
KINDS = {"tiny_uig": DDIMPipeline, "tiny_uig_epsilon": DDIMPipeline, "tiny_uig_latent": LDMPipeline}


def recipe(name: str) -> UnconditionalImageRecipe:
    """The real architecture on few pictures for few steps."""
    full: UnconditionalImageRecipe = instantiate(OmegaConf.load(CONF / f"{name}.yaml").pretrain)
    short = {"steps": 2, "batch_size": 4, "warmup": 1, "checkpoint_every": 1}
    autoencoder = full.autoencoder
    if autoencoder is not None:
        autoencoder = replace(autoencoder, schedule=replace(autoencoder.schedule, **short))
    return replace(
        full,
        data=GreyDigits(train_size=64, test_size=8),
        judge_schedule=replace(full.judge_schedule, **short),
        autoencoder=autoencoder,
        denoiser_schedule=replace(full.denoiser_schedule, **short),
    )


def silent(values: Mapping[str, float], step: int) -> None:
    """A log that keeps nothing."""


@pytest.fixture(scope="module", params=sorted(KINDS))
def straight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a recipe, and the folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, pretrain(recipe(request.param), folder, Hardware(), silent)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{path.relative_to(folder)}:{name}": t for path in files for name, t in load_file(path).items()}


def test_killed_and_resumed_it_gives_the_same_weights(
    straight: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = straight
    calls = iter(range(10))
    with monkeypatch.context() as patch:
        target = "prunelab.pretraining.unconditional.Unconditional.loss"
        original = __import__("prunelab.pretraining.unconditional", fromlist=["x"]).Unconditional.loss

        def failing(*arguments: object) -> object:
            if next(calls) == 1:
                raise KeyError("the power went")
            return original(*arguments)

        patch.setattr(target, failing)
        with pytest.raises(KeyError, match="the power went"):
            pretrain(recipe(name), tmp_path, Hardware(), silent)
    again = weights(pretrain(recipe(name), tmp_path, Hardware(), silent))
    expected = weights(folder)
    assert expected.keys() == again.keys()
    assert all(torch.equal(again[key], value) for key, value in expected.items())


def test_the_pipeline_is_an_ordinary_one_like_the_shipped(straight: tuple[str, Path]) -> None:
    name, folder = straight
    pipeline = DiffusionPipeline.from_pretrained(folder / "pipeline", local_files_only=True)
    assert isinstance(pipeline, KINDS[name])
    made, shipped = weights(folder / "pipeline"), weights(EMBEDDED / name)
    assert {key: value.shape for key, value in made.items()} == {k: v.shape for k, v in shipped.items()}
    assert {tensor.dtype for tensor in (*made.values(), *shipped.values())} == {torch.float16}
    texts = [path.read_text() for path in (folder / "pipeline").rglob("*.json")]
    assert not [text for text in texts if str(folder.parent) in text or "_name_or_path" in text]
    for file in sorted((EMBEDDED / name).rglob("*.json")):
        if file.parent.name != "vqvae":  # its scale comes of the training
            assert file.read_text() == (folder / "pipeline" / file.relative_to(EMBEDDED / name)).read_text()


def test_the_latents_are_scaled_to_unit_variance(straight: tuple[str, Path]) -> None:
    name, folder = straight
    prepared = recipe(name)._denoising(folder).latents
    if name != "tiny_uig_latent":
        assert (prepared.min(), prepared.max()) == (-1, 1)
    else:
        assert prepared.std().item() == pytest.approx(1, abs=1e-3)


def test_what_decides_the_weights_is_in_the_fingerprint() -> None:
    latent = recipe("tiny_uig_latent")
    assert latent.autoencoder is not None
    others = [
        recipe("tiny_uig"),
        replace(latent, seed=1),
        replace(latent, autoencoder=replace(latent.autoencoder, divergence=0.5)),
    ]
    assert len({latent.fingerprint, *(other.fingerprint for other in others)}) == 4
    rarely = replace(latent.autoencoder.schedule, checkpoint_every=1000)
    same = replace(latent, autoencoder=replace(latent.autoencoder, schedule=rarely))
    assert same.fingerprint == latent.fingerprint


@torch.no_grad()
def test_what_is_predicted_is_what_the_scheduler_says() -> None:
    """A denoiser that always answers 0 has the mean square of its target as its loss."""

    class Silent(torch.nn.Module):
        def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> UNet2DOutput:
            return UNet2DOutput(torch.zeros_like(sample))

    latents = torch.linspace(-1, 1, 32).reshape(2, 1, 4, 4)
    for kind in ("epsilon", "v_prediction"):
        scheduler = DDIMScheduler(prediction_type=kind)
        objective = Unconditional(Silent(), scheduler, latents, 0)
        batch = objective.batch(range(6))
        signal = scheduler.alphas_cumprod[batch["timesteps"]][:, None, None, None].sqrt()
        velocity = signal * batch["noise"] - (1 - signal**2).sqrt() * batch["latents"]
        wanted = batch["noise"] if kind == "epsilon" else velocity
        torch.testing.assert_close(objective.loss(batch)["loss"], wanted.square().mean())


@torch.no_grad()
def test_thresholds_of_diff_pruning_leave_timesteps_out_of_the_shipped_weights() -> None:
    """The mean loss of 16 training pictures, written out: it falls below 0.05 and 0.02 of its largest."""
    model = PipelineModel.open("tiny_uig_epsilon", embedded="tiny_uig_epsilon")
    pictures = (
        torch.from_numpy(GreyDigits(train_size=16, test_size=1).train()[:]["image"]).float() / 127.5 - 1
    )
    noise = normal(model.latent_shape, 0, range(16), "calibration noise")
    bars, losses = model.pipeline.scheduler.alphas_cumprod, []
    for t in range(0, 1000, 50):
        noisy = bars[t].sqrt() * pictures + (1 - bars[t]).sqrt() * noise
        losses.append((model.components["denoiser"](noisy, t).sample - noise).square().mean())
    shares = torch.stack(losses) / max(losses)
    first = [int((shares <= threshold).nonzero()[0]) * 50 for threshold in (0.2, 0.05, 0.02)]
    assert first == sorted(first)
    assert shares[0] == 1
    assert first[0] < 150
    assert 300 < first[1] < 500
    assert first[1] < first[2] < 800


@torch.no_grad()
def test_the_shipped_weights_draw_digits_of_every_kind(unconditional: Model) -> None:
    """The judge is sure of most of them, and names nearly all ten digits: chance would be far away."""
    judge = Judge.load(EMBEDDED / "grey_digit_judge")
    noise = normal(unconditional.latent_shape, 0, range(60), "shipped weights")
    images = unconditional.decode(unconditional.sample(None, noise, 10, 1.0, last=True)[-1])
    shares = judge((images * 255).round().to(torch.uint8))[1]["digit"].softmax(1)
    assert (shares.amax(1) > 0.9).float().mean() > 0.7
    assert len(shares.argmax(1).unique()) >= 9
    flat = judge(torch.randint(256, images.shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8))
    assert (flat[1]["digit"].softmax(1).amax(1) > 0.9).float().mean() < 0.9
