"""Training a U-Net that nothing conditions, on pixels or on latents."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.core.draws import integers, normal, visits
from prunelab.models.process import process_of


class Unconditional:
    """Squared error of what the scheduler says is predicted, at a uniform time step.

    unet: a diffusers UNet2DModel. scheduler: gives the noise levels and the kind of prediction.
    latents: float32, (n, channels, height, width), of about unit variance, or pixels in [-1, 1].
    """

    def __init__(self, unet: nn.Module, scheduler: Any, latents: Tensor, seed: int) -> None:
        self.trained, self.scheduler, self.latents, self.seed = unet, scheduler, latents, seed
        self.target = process_of(scheduler).target

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Latents, noise and time steps."""
        items = visits(draws, len(self.latents), self.seed, "denoiser")
        steps = self.scheduler.config.num_train_timesteps
        return {
            "latents": self.latents[items],
            "noise": normal(self.latents.shape[1:], self.seed, draws, "denoiser noise"),
            "timesteps": integers(steps, self.seed, draws, "denoiser timestep"),
        }

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss, which has no parts."""
        latents, noise, timesteps = batch["latents"], batch["noise"], batch["timesteps"]
        predicted = self.predicted(self.scheduler.add_noise(latents, noise, timesteps), batch)
        return {"loss": F.mse_loss(predicted, self.target(latents, timesteps, noise))}

    def predicted(self, noisy: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """What the network makes of noisy latents."""
        predicted: Tensor = self.trained(noisy, batch["timesteps"]).sample
        return predicted
