"""The environment every test runs in, set before torch is imported.

One thread that sleeps while it waits: results are bitwise equal only at an equal thread count, and
spinning threads on shared cores are many times slower. Nothing may reach for the network.
"""

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from prunelab.core.protocols import Model
    from prunelab.models.stable_diffusion import StableDiffusion

os.environ.update(
    OMP_WAIT_POLICY="PASSIVE",
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    WANDB_MODE="offline",
)


@pytest.fixture(scope="session")
def model() -> "StableDiffusion":
    """The embedded text-to-image model; tests must leave it as it was."""
    from prunelab.models.stable_diffusion import StableDiffusion

    return StableDiffusion.open("tiny_t2i", embedded="tiny_t2i")


@pytest.fixture(scope="session")
def pixels() -> "Model":
    """The embedded unconditional model of pixels; tests must leave it as it was."""
    from prunelab.models.pixel_diffusion import PixelDiffusion

    return PixelDiffusion.open("tiny_uig", embedded="tiny_uig")


@pytest.fixture(scope="session")
def latents() -> "Model":
    """The embedded unconditional model of latents; tests must leave it as it was."""
    from prunelab.models.latent_diffusion import LatentDiffusion

    return LatentDiffusion.open("tiny_uig_latent", embedded="tiny_uig_latent")


@pytest.fixture(params=["pixels", "latents"])
def unconditional(request: pytest.FixtureRequest) -> "Model":
    """Either of the embedded unconditional image models."""
    found: Model = request.getfixturevalue(request.param)
    return found
