"""How well pictures fit their prompts in CLIP's eyes."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

from prunelab.core.digests import digest
from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Device, Place, Runtime
from prunelab.judges.clip import prepared
from prunelab.judges.pretrained import BATCH, configuration, network, preparation, vocabulary
from prunelab.metrics.intervals import bootstrap


class ClipScore:
    """100 * max(cos(image, prompt), 0), Hessel et al. (2021) in torchmetrics' scale; higher, at most 100.

    Computed with transformers alone: torchmetrics 1.9's own does not work with transformers 5.
    """

    name = "clip_score"
    of_prompts = True
    quantity = Quantity(
        "CLIP score", "higher", "cosine of samples and their prompts in CLIP's eyes, times 100"
    )

    def __init__(self, model: Any, tokenizer: Any, processor: Any) -> None:
        self.model, self.tokenizer, self.processor = model, tokenizer, processor
        self.settings = [configuration(model), vocabulary(tokenizer), processor.to_json_string()]

    @classmethod
    def load(cls, path: Place, device: Runtime[Device] = "cpu") -> Self:
        """From a folder in transformers' format or the hub, onto a device; Refusal when it is missing."""
        model = network(CLIPModel, path, device)
        return cls(
            model,
            preparation(AutoTokenizer, path, trust_remote_code=False),
            preparation(CLIPImageProcessorPil, path),
        )

    def fingerprint(self) -> str:
        """A hash of the weights, and of all else in the folder that decides the score, for the address."""
        settings = hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()
        return f"{digest(self.model.state_dict())} {settings}"

    @torch.no_grad()
    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over all seeds and draws; undefined where there were no prompts."""
        if not any(reference.prompts):
            return UNDEFINED
        texts = self._texts(reference.prompts)
        scores = [F.cosine_similarity(self._images(of_one_seed), texts) for of_one_seed in generated.media]
        return bootstrap(100 * torch.stack(scores).clamp(min=0), reference.prompts)

    def _texts(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (n, d); longer prompts than CLIP reads are cut."""
        parts = []
        for start in range(0, len(prompts), BATCH):
            tokens = self.tokenizer(
                list(prompts[start : start + BATCH]),
                padding=True,
                truncation=True,
                max_length=self.model.config.text_config.max_position_embeddings,
                return_tensors="pt",
            ).to(self.model.device)
            parts.append(self.model.get_text_features(**tokens).pooler_output.cpu())
        return torch.cat(parts)

    def _images(self, media: Tensor) -> Tensor:
        """Embeddings (n, d) of uint8 images (n, channels, height, width)."""
        parts = []
        for some in media.split(BATCH):
            pixels = prepared(self.processor, some).to(self.model.device)
            parts.append(self.model.get_image_features(pixel_values=pixels).pooler_output.cpu())
        return torch.cat(parts)
