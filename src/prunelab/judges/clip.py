"""CLIP as a judge: features of pictures for the distances, and no classes."""

import hashlib
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil, CLIPModel

from prunelab.core.settings import Device, Place, Runtime
from prunelab.judges.pretrained import BATCH, configuration, network, preparation


class Clip(nn.Module):
    """The image embeddings of CLIP, Radford et al. (2021), before normalisation.

    Distances on them follow what pictures show more than Inception's do, Kynkäänniemi et al. (2023).
    ``prepared`` identifies the preprocessing and the network's settings among the weights.
    """

    prepared: Tensor

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__()
        self.vision, self.projection = model.vision_model, model.visual_projection
        self.processor = processor
        described = f"{configuration(model)} {processor.to_json_string()}"
        settings = hashlib.sha256(described.encode()).digest()
        self.register_buffer("prepared", torch.tensor(list(settings), dtype=torch.uint8))

    @classmethod
    def load(cls, path: Place, device: Runtime[Device] = "cpu") -> Self:
        """From a folder in transformers' format or the hub, onto a device; Refusal when it is missing."""
        return cls(network(CLIPModel, path, device), preparation(CLIPImageProcessorPil, path))

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (n, d) of uint8 images (n, 1 or 3, height, width); no logits."""
        return torch.cat([self._embedded(some) for some in images.split(BATCH)]), {}

    def _embedded(self, images: Tensor) -> Tensor:
        pixels = prepared(self.processor, images).to(self.projection.weight.device)
        embeddings: Tensor = self.projection(self.vision(pixel_values=pixels).pooler_output)
        return embeddings.cpu()


def prepared(processor: Any, images: Tensor) -> Tensor:
    """What CLIP's processor makes of uint8 images (n, 1 or 3, height, width)."""
    coloured = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()
    pixels: Tensor = processor(
        images=list(coloured), input_data_format="channels_last", return_tensors="pt"
    ).pixel_values
    return pixels
