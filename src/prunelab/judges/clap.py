"""CLAP as a judge: features of sounds for the distances, and no classes."""

import hashlib
from math import gcd
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ClapFeatureExtractor, ClapModel

from prunelab.core.errors import Refusal
from prunelab.core.settings import Count, Device, Place, Runtime
from prunelab.judges.pretrained import BATCH, configuration, network, preparation


class Clap(nn.Module):
    """The audio embeddings of CLAP, Wu et al. (2023), normalised.

    Fréchet distances on them are among those that Gui et al. (2024) found to follow what people hear.
    rate: of the sounds, in Hz. ``prepared`` identifies it, the preprocessing and the network's settings
    among the weights.
    """

    prepared: Tensor

    def __init__(self, model: Any, extractor: Any, rate: int) -> None:
        super().__init__()
        self.audio, self.projection = model.audio_model, model.audio_projection
        self.extractor, self.rate = extractor, rate
        described = f"{rate} {configuration(model)} {extractor.to_json_string()}"
        settings = hashlib.sha256(described.encode()).digest()
        self.register_buffer("prepared", torch.tensor(list(settings), dtype=torch.uint8))

    @classmethod
    def load(cls, path: Place, rate: Count, device: Runtime[Device] = "cpu") -> Self:
        """From a folder in transformers' format or the hub, onto a device; Refusal when it is missing.

        Models that fuse several crops of long sounds draw the crops at random, and are refused.
        """
        model = network(ClapModel, path, device)
        if model.config.audio_config.enable_fusion:
            raise Refusal(
                f"{path} is a fused CLAP, which sees random crops: use laion/clap-htsat-unfused or the like"
            )
        return cls(model, preparation(ClapFeatureExtractor, path), rate)

    def forward(self, sounds: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (n, d) of int16 sounds (n, 1, samples), of which the first 10 s count; no logits."""
        return torch.cat([self._embedded(some) for some in sounds.split(BATCH)]), {}

    def _embedded(self, sounds: Tensor) -> Tensor:
        waves = sounds[:, 0].cpu().double().numpy() / 32768
        target = self.extractor.sampling_rate
        if target != self.rate:
            from scipy.signal import resample_poly  # takes seconds

            common = gcd(target, self.rate)
            waves = resample_poly(waves, target // common, self.rate // common, axis=1)
        # Longer sounds would be cropped at random.
        waves = waves[:, : int(self.extractor.nb_max_samples)]
        inputs = self.extractor(
            list(waves), sampling_rate=target, truncation="rand_trunc", return_tensors="pt"
        )
        seen = inputs.input_features.float().to(next(self.parameters()).device)
        heard = self.audio(input_features=seen, is_longer=inputs.is_longer).pooler_output
        return F.normalize(self.projection(heard), dim=-1).cpu()
