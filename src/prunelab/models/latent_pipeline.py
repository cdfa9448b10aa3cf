"""An LDMPipeline (Rombach et al. 2022, arXiv 2112.10752) of pictures of any shape, that may be told a class.

diffusers' own samples squares, without conditions. The layout of a folder is the same, and so is its name. A
U-Net that embeds classes has a table of them as its ``encoder_hid_proj``: a class is a one-hot vector of its
``encoder_hid_dim``, which that layer turns into the one token that is attended to. The last class is the null
class, from which guidance starts.
"""

from collections.abc import Sequence
from typing import Any

import diffusers
import torch
from diffusers import ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from torch.nn import functional as F


class LDMPipeline(diffusers.LDMPipeline):
    """``vqvae``, ``unet`` and ``scheduler``."""

    @property
    def null_class(self) -> int | None:
        """The number of the class that stands for none; None where there are no classes."""
        classes = self.unet.config.get("encoder_hid_dim")
        return int(classes) - 1 if classes else None

    def __call__(
        self,
        class_labels: Sequence[int] = (),
        batch_size: int = 1,
        guidance_scale: float = 1.0,
        generator: Any = None,
        num_inference_steps: int = 50,
        output_type: str = "pt",
    ) -> ImagePipelineOutput:
        """Pictures (batch, channels, height, width) in [0, 1]; one per class where it is told classes."""
        del output_type
        size = self.unet.config.sample_size
        sides = (size, size) if isinstance(size, int) else tuple(size)
        shape = (len(class_labels) or batch_size, self.unet.config.in_channels, *sides)
        latents = (
            randn_tensor(shape, generator=generator, device=self.device, dtype=self.unet.dtype)
            * self.scheduler.init_noise_sigma
        )
        conditions = self._one_hot(class_labels, guidance_scale > 1)
        self.scheduler.set_timesteps(num_inference_steps)
        for timestep in self.scheduler.timesteps:
            read = torch.cat([latents] * 2) if conditions and guidance_scale > 1 else latents
            output = self.unet(
                self.scheduler.scale_model_input(read, timestep), timestep, **conditions
            ).sample
            if len(output) > len(latents):
                free, held = output.chunk(2)
                output = free + guidance_scale * (held - free)
            latents = self.scheduler.step(output, timestep, latents).prev_sample
        pictures = self.vqvae.decode(latents / self.vqvae.config.scaling_factor).sample
        return ImagePipelineOutput(images=(pictures / 2 + 0.5).clamp(0, 1))

    def _one_hot(self, classes: Sequence[int], guided: bool) -> dict[str, Tensor]:
        """What the denoiser is told of the classes, behind the null class where there is guidance."""
        if self.null_class is None:
            return {}
        empty = [self.null_class] * len(classes) if guided else []
        numbers = torch.tensor([*empty, *classes], device=self.device)
        return {"encoder_hidden_states": F.one_hot(numbers, self.null_class + 1)[:, None].to(self.unet.dtype)}
