"""The parts of a pipeline under the names that prunelab has for them."""

from collections.abc import Sequence

from diffusers import DiffusionPipeline
from torch import nn

from prunelab.core.errors import Refusal

DENOISERS = ("transformer", "unet", "prior", "decoder")
AUTOENCODERS = ("vae", "vqvae", "movq")
BYSTANDERS = ("safety_checker", "image_encoder")  # no part of making something from prompts


def parts_of(name: str, pipeline: DiffusionPipeline) -> dict[str, str]:
    """Component -> attribute of the pipeline: ``denoiser``, ``vae``, and all other networks as it calls them.

    Raises Refusal where there is no denoiser.
    """
    parts = pipeline.components.items()
    networks = [part for part, value in parts if isinstance(value, nn.Module) and part not in BYSTANDERS]
    denoiser, autoencoder = _first(networks, DENOISERS), _first(networks, AUTOENCODERS)
    if denoiser is None:
        raise Refusal(
            f"{name} is a {type(pipeline).__name__} of {', '.join(networks) or 'no networks'}: none of them "
            f"is called {' or '.join(DENOISERS)}, so there is no denoiser to prune"
        )
    others = {part: part for part in networks if part not in (denoiser, autoencoder)}
    return {"denoiser": denoiser, **others} | ({"vae": autoencoder} if autoencoder else {})


def _first(networks: Sequence[str], known: Sequence[str]) -> str | None:
    return next((part for part in known if part in networks), None)
