"""Small random pipelines of every family that this machine can build, from their real classes.

``FAMILIES[name]()`` is a :class:`Small`: the pipeline, and what one small call of it takes.
"""

from functools import partial

from . import sounds, transformers, unets, videos
from .small import Small, seeded

__all__ = ["FAMILIES", "NOT_BUILT", "Small"]

FAMILIES = {
    family.__name__: partial(seeded, family)
    for part in (unets, transformers, videos, sounds)
    for family in part.FAMILIES
}

# Pipeline -> why there is no small instance of it.
NOT_BUILT = {
    "KolorsPipeline": "needs sentencepiece",
    "OmniGenPipeline": "needs torchvision",
    "KandinskyV22PriorPipeline": "needs torchvision",
    "CosmosTextToWorldPipeline": "needs cosmos_guardrail",
    "Cosmos2TextToImagePipeline": "needs cosmos_guardrail",
    "SkyReelsV2Pipeline": "needs ftfy",
    "MarigoldDepthPipeline": "takes a picture, not a prompt",
    "StableVideoDiffusionPipeline": "takes a picture, not a prompt",
}
