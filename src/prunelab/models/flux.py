"""Text-to-image rectified flow as diffusers' ``FluxPipeline`` lays it out (Black Forest Labs 2024).

Components: ``denoiser`` (the pipeline's ``transformer``), ``text_encoder`` (CLIP), ``text_encoder_2`` (T5)
and ``vae``. Latents are packed into tokens, and unpacked, around the transformer alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

import torch
from diffusers import DiffusionPipeline, FluxTransformer2DModel
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.protocols import SamplingOptions
from prunelab.core.settings import Count, Number, Place, Text, Weights
from prunelab.models.architectures import (
    Architecture,
    architecture_hash,
    build_flux,
    without_folder,
    without_weights,
)
from prunelab.models.diffusers_model import DiffusersModel, check_weights
from prunelab.models.flow import FlowSampler, levels
from prunelab.models.process import trajectory


class Flux(DiffusersModel):
    """Latents (batch, channels, h, w); conditions (batch, 1 + tokens, width): CLIP's vector, then T5's.

    The narrower of the two is padded with zeros; :meth:`predict` takes them apart. guidance: what models
    with distilled guidance are told where no sampler says otherwise. prompt_length: T5's tokens.
    """

    prompted = True
    attributes: ClassVar = {
        "denoiser": "transformer",
        "text_encoder": "text_encoder",
        "text_encoder_2": "text_encoder_2",
        "vae": "vae",
    }
    kinds: ClassVar = {"transformer": FluxTransformer2DModel}
    layout: ClassVar = "a folder of a FluxPipeline"
    guidance: float = 3.5
    prompt_length: int = 512

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        super().__init__(name, pipeline, fingerprint)
        rows, columns = (side // 2 for side in self.latent_shape[1:])
        self._sampler = FlowSampler(pipeline.scheduler, rows * columns)

    def _latent_shape(self) -> tuple[int, ...]:
        """Channels, height and width: FLUX's transformer is of any size, its autoencoder is of one."""
        vae = self.pipeline.vae.config
        side = vae.sample_size // 2 ** (len(vae.block_out_channels) - 1)
        return (self.pipeline.transformer.config.in_channels // 4, side, side)

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        guidance: Number = 3.5,
        prompt_length: Count = 512,
        architecture: Architecture | None = None,
    ) -> "Flux":
        """As ``open_folder``; "random weights" of a published ``architecture`` need no folder, and are none.

        Such a model has shapes alone (the meta device) and can be planned. Raises Refusal as ``open_folder``
        does, and for an architecture without a folder unless weights are random.
        """
        check_weights(weights)
        if architecture is None or path is not None:
            model = cls.open_folder(name, path, weights, None)
        elif weights == "random":
            model = cls(name, build_flux(architecture), architecture_hash(architecture))
        else:
            raise Refusal(without_weights(name))
        return model._asked_with(guidance, prompt_length)

    def _asked_with(self, guidance: float, prompt_length: int) -> "Flux":
        self.guidance, self.prompt_length = guidance, prompt_length
        return self

    def reopened(self, folder: Path) -> "Flux":
        """The model saved in ``folder``, under this one's name and asked as this one is."""
        return self.open(self.name, str(folder), "pretrained", self.guidance, self.prompt_length)

    def fingerprint(self) -> str:
        """A hash of the folder's files and of how the model is asked."""
        return f"{super().fingerprint()} {self.guidance} {self.prompt_length}"

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero inputs of one forward pass at the model's own resolution and prompt length."""
        device = self.device(component)
        if component.startswith("text_encoder"):
            tokens = self.prompt_length if component == "text_encoder_2" else self._clip_length()
            return {"input_ids": torch.zeros(batch, tokens, dtype=torch.long, device=device)}
        if component == "vae":
            config = self.pipeline.vae.config
            shape = (batch, config.in_channels, config.sample_size, config.sample_size)
            return {"sample": torch.zeros(shape, device=device)}
        latents = torch.zeros(batch, *self.latent_shape, device=device)
        states = torch.zeros(batch, self.prompt_length, self._widths()[1], device=device)
        pooled = torch.zeros(batch, self._widths()[0], device=device)
        return self._inputs(latents, torch.zeros(batch, device=device), pooled, states)

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Prompts to conditions (batch, 1 + tokens, width)."""
        pooled, states = self._pooled(prompts), self._states(prompts)
        width = max(pooled.shape[-1], states.shape[-1])
        parts = [nn.functional.pad(each, (0, width - each.shape[-1])) for each in (pooled[:, None], states)]
        return torch.cat(parts, dim=1)

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """True where CLIP reads a token of the prompt, False at padding: bool (batch, tokens)."""
        mask: Tensor = self._tokens(
            self.pipeline.tokenizer, prompts, self._clip_length()
        ).attention_mask.bool()
        return mask

    def _pooled(self, prompts: Sequence[str]) -> Tensor:
        tokens = self._tokens(self.pipeline.tokenizer, prompts, self._clip_length())
        return self._asked("text_encoder", tokens.input_ids).pooler_output

    def _states(self, prompts: Sequence[str]) -> Tensor:
        tokens = self._tokens(self.pipeline.tokenizer_2, prompts, self.prompt_length)
        return self._asked("text_encoder_2", tokens.input_ids)[0]

    def save(self, folder: Path | str) -> None:
        """As every model does; refused where there are shapes alone."""
        self._check_weights()
        super().save(folder)

    def to(self, device: torch.device) -> None:
        """Move every component; refused where there are shapes alone."""
        self._check_weights()
        super().to(device)

    def _check_weights(self) -> None:
        if self.device().type == "meta":
            raise Refusal(without_folder(self.name))

    def _asked(self, component: str, tokens: Tensor) -> Any:
        return self.components[component](tokens.to(self.device(component)))

    def _tokens(self, tokenizer: Any, prompts: Sequence[str], length: int) -> Any:
        return tokenizer(
            list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )

    def _clip_length(self) -> int:
        return int(self.pipeline.text_encoder.config.max_position_embeddings)

    def _widths(self) -> tuple[int, int]:
        """Of CLIP's vector and of T5's states."""
        config = self.pipeline.transformer.config
        return config.pooled_projection_dim, config.joint_attention_dim

    def encode(self, media: Tensor) -> Tensor:
        """uint8 images (batch, 3, H, W) to scaled latents: the posterior's mean."""
        config = self.pipeline.vae.config
        posterior = self.pipeline.vae.encode(media.float() / 127.5 - 1).latent_dist
        latents: Tensor = (posterior.mean - config.shift_factor) * config.scaling_factor
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to images (batch, 3, H, W) in [0, 1]."""
        config = self.pipeline.vae.config
        images = self.pipeline.vae.decode(latents / config.scaling_factor + config.shift_factor).sample
        return (images / 2 + 0.5).clamp(0, 1)

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Latents at the given timesteps of the forward process."""
        sigmas = levels(timesteps, self.timesteps, latents)
        return (1 - sigmas) * latents + sigmas * noise

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """The velocity: noise less latents."""
        return noise - latents

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Tensor | None) -> Tensor:
        """The transformer's velocity, under the model's own guidance."""
        return self._predict(noisy, timesteps, conditions, self.guidance)

    def _predict(self, noisy: Tensor, timesteps: Tensor, conditions: Any, guidance: float) -> Tensor:
        pooled, states = self._widths()
        inputs = self._inputs(
            noisy, timesteps.to(noisy.dtype), conditions[:, 0, :pooled], conditions[:, 1:, :states], guidance
        )
        packed = self.components["denoiser"](**inputs).sample
        return unpacked(packed, noisy.shape[-2:])

    def _inputs(
        self,
        latents: Tensor,
        timesteps: Tensor,
        pooled: Tensor,
        states: Tensor,
        guidance: float | None = None,
    ) -> dict[str, Any]:
        rows, columns = (side // 2 for side in latents.shape[-2:])
        inputs = {
            "hidden_states": packed(latents),
            "encoder_hidden_states": states,
            "pooled_projections": pooled,
            "timestep": timesteps / self.timesteps,
            "img_ids": places(rows, columns, latents.device),
            "txt_ids": torch.zeros(states.shape[1], 3, device=latents.device),
        }
        if self.pipeline.transformer.config.guidance_embeds:
            told = self.guidance if guidance is None else guidance
            inputs["guidance"] = torch.full((len(latents),), told, device=latents.device)
        return inputs

    def sample(
        self,
        conditions: Tensor | None,
        latents: Tensor,
        steps: int,
        guidance: float,
        **options: Unpack[SamplingOptions],
    ) -> Tensor:
        """Latents after every step, shape (steps or 1, batch, ...); guidance is told, never mixed."""

        def denoise(noisy: Tensor, timesteps: Tensor) -> Tensor:
            return self._predict(noisy, timesteps, conditions, guidance)

        return trajectory(self._sampler, denoise, latents, steps, **options)

    def with_components(self, components: Mapping[str, nn.Module]) -> "Flux":
        """The same model with some components exchanged; the others are shared, not copied."""
        return super().with_components(components)._asked_with(self.guidance, self.prompt_length)


def packed(latents: Tensor) -> Tensor:
    """Latents (b, c, h, w) as tokens (b, h w / 4, 4 c): each holds 2 x 2 places."""
    batch, channels, height, width = latents.shape
    squares = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, 4 * channels)


def unpacked(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """The inverse of :func:`packed` for latents of this height and width."""
    height, width = size
    squares = tokens.reshape(len(tokens), height // 2, width // 2, -1, 2, 2)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, height, width)


def places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Row and column of each token behind a zero, (rows columns, 3): what the rotary embedding reads."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, 3).float().to(device)
