"""The latents of calibration examples."""

import torch
from torch import Tensor

from prunelab.core.protocols import Calibration, Encoded, Model


@torch.no_grad()
def latents_of(model: Model, calibration: Calibration, draws: range, device: torch.device) -> Tensor:
    """Of these draws, on ``device``: encoded, where they are not the model's own already."""
    if isinstance(calibration, Encoded):
        return calibration.latents(draws).to(device)
    return model.encode(calibration.media(draws).to(device))
