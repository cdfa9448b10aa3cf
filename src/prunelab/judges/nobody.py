"""Nobody: the judge of media of which no features are asked for."""

import torch
from torch import Tensor, nn


class Nobody(nn.Module):
    """No features and no classes, so that distances between distributions are undefined."""

    def forward(self, media: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (n, 0) of media (n, ...); no logits."""
        return torch.empty(len(media), 0), {}
