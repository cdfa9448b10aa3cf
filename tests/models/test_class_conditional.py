"""Class-conditional latent diffusion: against diffusers, through pruning and the disk, by its size."""

from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor
from torch.nn import functional as F

from prunelab.budgets.uniform import Uniform
from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.sparsity import Sparsity
from prunelab.costs.ledger import CostLedger
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.taylor import Taylor
from prunelab.stages.score import follow
from prunelab.surgery.slimming import slim
from prunelab.trainers.hardware import Hardware


@pytest.fixture(scope="module")
def classes(classes_folder: Path) -> PipelineModel:
    return PipelineModel.open("classes", str(classes_folder))


class Sorted:
    """Pictures with the number of their class."""

    def prompts(self, draws: range) -> list[str]:
        return [str(draw % 4) for draw in draws]

    def media(self, draws: range) -> Tensor:
        shades = torch.tensor(list(draws)) * 10
        return shades.to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)


@torch.no_grad()
def test_sampling_is_a_loop_over_what_diffusers_opens(classes: PipelineModel, classes_folder: Path) -> None:
    """Guided DDIM with one-hot vectors of the classes and of the null class, written out."""
    stock = DiffusionPipeline.from_pretrained(classes_folder)
    asked, null = (
        F.one_hot(torch.tensor([[2], [0]]), 5).float(),
        F.one_hot(torch.tensor([[4], [4]]), 5).float(),
    )
    noise = normal(classes.latent_shape, 0, range(2), "test")
    for guidance in (1.0, 3.0):
        stock.scheduler.set_timesteps(3)
        latents = noise
        for t in stock.scheduler.timesteps:
            told, free = (stock.unet(latents, t, encoder_hidden_states=each).sample for each in (asked, null))
            latents = stock.scheduler.step(free + guidance * (told - free), t, latents).prev_sample
        ours = classes.sample(classes.embed(["2", "0"]), noise, 3, guidance)[-1]
        torch.testing.assert_close(ours, latents, rtol=1e-4, atol=1e-5)
    expected = (stock.vqvae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(classes.decode(ours), expected, rtol=1e-4, atol=1e-4)
    assert classes.encode(expected.mul(255).to(torch.uint8)).shape == latents.shape


@torch.no_grad()
def test_a_class_is_the_row_of_a_table(classes: PipelineModel) -> None:
    unet = classes.components["denoiser"]
    table = unet.encoder_hid_proj.weight.T + unet.encoder_hid_proj.bias
    noisy, timesteps = normal(classes.latent_shape, 0, range(2), "test"), torch.tensor([3, 900])
    ours = classes.predict(noisy, timesteps, classes.embed(["1", ""]))
    bare = type(unet).from_config({**unet.config, "encoder_hid_dim": None, "encoder_hid_dim_type": None})
    bare.load_state_dict({k: v for k, v in unet.state_dict().items() if not k.startswith("encoder_hid")})
    theirs = bare.eval()(noisy, timesteps, encoder_hidden_states=table[[1, 4]][:, None]).sample
    torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_scored_pruned_saved_and_reopened(classes: PipelineModel, tmp_path: Path) -> None:
    """As ``experiment=diff_pruning`` does it; the width of the table of classes stays, as it was an input."""
    units = classes.units(["channel"], ["denoiser"])
    scores = follow(Taylor(samples=4, stride=500, batch_size=2).passes(classes, units, Sorted()), Hardware())
    assert all(scores[unit.name].min() > 0 for unit in units)
    plan = Uniform().plan(scores, units, CostLedger("elements", classes, units), Sparsity(0.5))
    smaller = slim(classes.components["denoiser"], units, plan)
    assert smaller.encoder_hid_proj.weight.shape == (12, 5)
    assert smaller.conv_in.weight.shape[0] == 8
    pruned = classes.with_components({"denoiser": smaller})
    pruned.save(tmp_path)
    reopened = pruned.reopened(tmp_path)
    noise = normal(classes.latent_shape, 0, range(2), "test")
    drawn, again = (
        each.sample(each.embed(["3", "1"]), noise, 2, 3.0, last=True) for each in (pruned, reopened)
    )
    assert torch.isfinite(drawn).all()
    assert torch.equal(drawn, again)


def test_the_published_size_to_the_last_parameter() -> None:
    """Rombach et al.'s program prints 400.92 M for the U-Net and 55.32 M for the autoencoder."""
    model = PipelineModel.open("ldm4_imagenet", architecture="ldm4_imagenet", shapes=True)
    held = {name: sum(p.numel() for p in part.parameters()) for name, part in model.components.items()}
    table = sum(p.numel() for p in model.components["denoiser"].encoder_hid_proj.parameters())
    assert table == 1001 * 512 + 512  # the embedding, and a bias that it does not have
    assert held == {"denoiser": 400_920_579 + table, "vae": 55_322_782}
    assert model.latent_shape == (3, 64, 64)
    assert model.example_inputs("vae", 1)["sample"].shape == (1, 3, 256, 256)


def test_what_is_no_class_is_one_line(classes: PipelineModel) -> None:
    for prompt in ("a red seven", "4", "-1"):  # 4 is the null class
        with pytest.raises(Refusal, match=r"is no class of classes.*from 0 to 3.*data.caption_column"):
            classes.embed([prompt])
