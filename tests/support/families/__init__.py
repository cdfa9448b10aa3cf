"""Small random pipelines of every family that this machine can build, from their real classes.

``FAMILIES[name]()`` is a :class:`Small`: the pipeline, and what one small call of it takes.
"""

from functools import partial

from . import recent, sounds, transformers, unets, videos
from .small import Small, seeded

__all__ = ["FAMILIES", "NOT_BUILT", "REFUSED", "Small"]

FAMILIES = {
    family.__name__: partial(seeded, family)
    for part in (unets, transformers, videos, sounds, recent)
    for family in part.FAMILIES
}

# What prunelab refuses by name: when it samples them, and, of the small ones, when it opens them.
_ADDED = "adds to its latents, or puts them in another order"
_EMPTY = "makes nothing of an empty prompt (with the small instance's tokenizer)"
REFUSED = {
    **dict.fromkeys(("text_to_video", "hunyuan_video_15", "motif_video"), _ADDED),
    **dict.fromkeys(("ace_step", "bria_fibo"), _EMPTY),
}

# Why there is no small instance of a pipeline: the first reason whose pattern is found in its name.
NOT_BUILT = {
    "takes a picture, a video or a sound besides its prompt": (
        "Img2Img|Inpaint|ControlNet|Controlnet|Control|Adapter|Upscal|Upsampl|SuperResolution|Kandinsky6|Edit|"
        "Image2Video|ImageToVideo|VideoToVideo|Video2Video|VideoToWorld|AudioToAudio|Marigold|Variation|I2V|I2I|"
        "StableVideo|Depth2Img|Pix2Pix|PriorRedux|FluxFill|Kontext|VisualCloze|Refiner|VACE|WanAnimate|SanaWM|"
        "Framepack|Layered|ChronoEdit|LTXCondition|PriorEmb2Emb|AnyFlowFAR|DiffusionDecode|PaintBy|RePaint|"
        "BriaFibo2|DreamLite|GlmImage|ZImageOmni|Flux2KleinKV|QwenImage21|KandinskyPipeline|KandinskyV22Pipeline"
    ),
    "is another sampling of a family that is built": "PAG|SAG|AnimateDiffSDXL|PNDM|StableUnCLIP|LDMText",
    "has two denoisers": "Ideogram4",
    "is made of other pipelines": "Combined|Prior|Decoder",
    "needs ftfy": "Helios|SkyReels|PRX",
    "needs sentencepiece": "Kolors",
    "needs cosmos_guardrail": "Cosmos",
    "needs torchvision": "OmniGen|Kandinsky5",
    "needs another package that is not installed": "AudioDiffusion|ConsisID|SpectrogramDiffusion|Onnx",
    "has eleven parts, and was not tried": "LTX2|LTXI2VLong",
    "saves no scheduler": "LongCatAudio",
    "makes text, shapes or proteins": "DiffusionGemma|LLaDA2|ShapE|RFD4",
}
