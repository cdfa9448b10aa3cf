"""Models opened in half precision: what their pipeline does in it, and what is known of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from prunelab.core.draws import normal
from prunelab.models.pipeline import PipelineModel

HALF = [("flux_dev", "bf16"), ("wan", "bf16"), ("stable_diffusion", "fp16")]


@torch.no_grad()
@pytest.mark.parametrize(("name", "precision"), HALF)
def test_it_samples_as_the_pipeline_does_in_that_precision(
    name: str, precision: Any, family: Callable[[str], Any], tmp_path: Path
) -> None:
    small, folder = family(name)
    model = PipelineModel.open(name, str(folder), call=small.call, precision=precision)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    denoiser: Any = model.components["denoiser"]
    assert denoiser.dtype == dtype
    noise = normal(model.latent_shape, 0, range(1), "test")
    prompts = ["a red house"]
    ours = model.sample(model.embed(prompts), noise, 2, 3.0)[-1]

    whole = PipelineModel.open(name, str(folder), call=small.call)
    pipeline: Any = DiffusionPipeline.from_pretrained(folder, dtype=dtype)
    start = noise * float(getattr(pipeline.scheduler, "init_noise_sigma", 1.0))
    asked = {"num_inference_steps": 2, "guidance_scale": 3.0, "output_type": "latent", "return_dict": False}
    start = start if name == "wan" else start.to(dtype)  # Wan carries its latents in float32 all the same
    theirs = pipeline(prompt=prompts, latents=start, **asked, **small.call)[0]
    torch.testing.assert_close(ours, theirs.float().reshape(ours.shape), rtol=0, atol=0)

    assert ours.dtype == torch.float32  # scores and losses are taken of these
    timesteps = torch.tensor([500])
    exact = whole.predict(noise, timesteps, whole.embed(prompts))
    rough = model.predict(noise, timesteps, model.embed(prompts))
    assert (rough - exact).norm() < 0.05 * exact.norm()
    media = model.decode(noise)
    close = model.encode((media * 255).round().to(torch.uint8)) - whole.encode((media * 255).round().byte())
    assert close.norm() < 0.05 * whole.encode((media * 255).round().byte()).norm()

    assert model.fingerprint() != whole.fingerprint()
    model.save(tmp_path)
    again = model.reopened(tmp_path)
    for one, two in zip(
        model.components["denoiser"].parameters(), again.components["denoiser"].parameters(), strict=True
    ):
        assert torch.equal(one, two)
