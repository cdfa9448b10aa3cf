"""The forward process leaves the pipeline's scheduler as it is."""

import torch
from diffusers import DDIMScheduler

from prunelab.models.process import process_of


def test_noising_on_another_device_leaves_the_scheduler_where_it_is() -> None:
    """Diffusers takes a scheduler's levels along for good; samples drawn on the CPU would meet them there."""
    for kind in ("epsilon", "v_prediction"):
        scheduler = DDIMScheduler(prediction_type=kind)
        process = process_of(scheduler)
        latents = torch.zeros(2, 4, 8, 8, device="meta")
        timesteps = torch.zeros(2, dtype=torch.long, device="meta")
        for seen in (process.noised, process.target):
            assert seen(latents, timesteps, latents).device.type == "meta"
        assert scheduler.alphas_cumprod.device.type == "cpu"
        scheduler.set_timesteps(1)
        step = scheduler.step(torch.zeros(1, 4), scheduler.timesteps[0], torch.ones(1, 4)).prev_sample
        assert step.isfinite().all()
