"""Scratch: the control that asks whether the surviving weights were worth keeping."""

import torch
from torch import nn


def forget(module: nn.Module, seed: int) -> None:
    """Draw every weight of ``module`` anew, as its layers initialise themselves, from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in module.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
