"""Inception as a judge: the features of published Fréchet distances."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.extra import extra
from prunelab.core.settings import Device, Place, Runtime
from prunelab.judges.pretrained import BATCH

LAYER = "2048"  # the pooled features before the classifier


class Inception(nn.Module):
    """The 2048 pooled features of the Inception network of Heusel et al. (2017), as torch-fidelity ports it.

    A Fréchet distance on them is comparable to published FIDs if it is on as many samples, real and
    generated, of the same size.
    """

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.extractor = extractor

    @classmethod
    def load(cls, path: Place | None = None, device: Runtime[Device] = "cpu") -> Self:
        """From torch-fidelity's file of weights, which it downloads where ``path`` is None."""
        module = extra("torch_fidelity.feature_extractor_inceptionv3", "judge=inception")
        try:
            extractor = module.FeatureExtractorInceptionV3(
                "inception-v3-compat", [LAYER], feature_extractor_weights_path=path
            )
        except Exception as error:  # another package's loader: a wrong file raises what it likes
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Refusal(
                f"no Inception weights in {path or 'the cache'} ({reason}): judge.path=FILE of those that "
                "torch-fidelity downloads, weights-inception-2015-12-05-6726825d.pth"
            ) from error
        return cls(extractor.eval().requires_grad_(False).to(device))

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (n, 2048) of uint8 images (n, 1 or 3, height, width); no logits."""
        device = next(self.extractor.parameters()).device
        parts = [
            self.extractor(some.expand(-1, 3, -1, -1).contiguous().to(device))[0].cpu()
            for some in images.split(BATCH)
        ]
        return torch.cat(parts), {}
