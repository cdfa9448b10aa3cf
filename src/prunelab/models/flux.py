"""Text-to-image rectified flow as diffusers' ``FluxPipeline`` lays it out (Black Forest Labs 2024).

Components: ``denoiser`` (the pipeline's ``transformer``), ``text_encoder`` (CLIP), ``text_encoder_2`` (T5)
and ``vae``. Latents are packed into tokens, and unpacked, around the transformer alone.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

import torch
from diffusers import DiffusionPipeline, FluxPipeline
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.protocols import SamplingOptions
from prunelab.core.units import Unit
from prunelab.models.flow import FlowSampler, levels
from prunelab.models.folders import content_hash, locate, open_random
from prunelab.models.process import trajectory
from prunelab.models.units import units_of
from prunelab.surgery.opening import open_pipeline
from prunelab.surgery.saving import save_pipeline

ATTRIBUTES = {
    "denoiser": "transformer",
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "vae": "vae",
}


class Flux:
    """Latents (batch, channels, h, w); conditions (batch, 1 + tokens, width): CLIP's vector, then T5's.

    The narrower of the two is padded with zeros; :meth:`predict` takes them apart. guidance: what models
    with distilled guidance are told where no sampler says otherwise. prompt_length: T5's tokens.
    """

    makes: ClassVar[str] = "images"
    prompted: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        pipeline: DiffusionPipeline,
        fingerprint: str,
        guidance: float = 3.5,
        prompt_length: int = 512,
    ) -> None:
        self.name, self.pipeline, self._fingerprint = name, pipeline, fingerprint
        self.guidance, self.prompt_length = guidance, prompt_length
        self.components: dict[str, nn.Module] = {
            key: getattr(pipeline, attribute) for key, attribute in ATTRIBUTES.items()
        }
        for component in self.components.values():
            component.eval().requires_grad_(False)
        vae, transformer = pipeline.vae.config, pipeline.transformer.config
        side = vae.sample_size // 2 ** (len(vae.block_out_channels) - 1)
        self.latent_shape = (transformer.in_channels // 4, side, side)
        self.timesteps: int = pipeline.scheduler.config.num_train_timesteps
        self._sampler = FlowSampler(pipeline.scheduler, (side // 2) ** 2)

    @classmethod
    def open(
        cls,
        name: str,
        path: str | None = None,
        weights: str = "pretrained",
        guidance: float = 3.5,
        prompt_length: int = 512,
    ) -> "Flux":
        """Open the folder ``path``; random weights need its configs only.

        Raises Refusal for a missing or broken folder, another kind of pipeline, or unknown ``weights``.
        """
        if weights not in ("pretrained", "random"):
            raise Refusal(f"unknown weights {weights!r}: choose from pretrained, random")
        folder = locate(path)
        pipeline = open_random(folder) if weights == "random" else open_pipeline(folder)
        if not isinstance(pipeline, FluxPipeline):
            raise Refusal(f"{path} is a {type(pipeline).__name__}: give a folder of a FluxPipeline")
        return cls(name, pipeline, content_hash(folder, weights), guidance, prompt_length)

    def reopened(self, folder: Path) -> "Flux":
        """The model saved in ``folder``, under this one's name."""
        return type(self).open(self.name, str(folder), "pretrained", self.guidance, self.prompt_length)

    def fingerprint(self) -> str:
        """A hash of the folder's files and of how the model is asked."""
        return f"{self._fingerprint} {self.guidance} {self.prompt_length}"

    def units(
        self, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
    ) -> list[Unit]:
        """See :func:`prunelab.models.units.units_of`."""
        return units_of(self, granularity, components, bypasses)

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero inputs of one forward pass at the model's own resolution and prompt length."""
        device = next(self.components[component].parameters()).device
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

    def _asked(self, component: str, tokens: Tensor) -> Any:
        encoder = self.components[component]
        return encoder(tokens.to(next(encoder.parameters()).device))

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
        """The same model with some components exchanged."""
        pipeline = copy.copy(self.pipeline)
        for key, attribute in ATTRIBUTES.items():
            object.__setattr__(pipeline, attribute, components.get(key, self.components[key]))
        return type(self)(self.name, pipeline, self._fingerprint, self.guidance, self.prompt_length)

    def to(self, device: torch.device) -> None:
        """Move every component."""
        for component in self.components.values():
            component.to(device)

    def save(self, folder: Path, structures: Mapping[str, Mapping[str, Any]]) -> None:
        """Write an ordinary diffusers folder; pruned components carry their structure."""
        save_pipeline(
            self.pipeline, folder, {ATTRIBUTES[key]: dict(each) for key, each in structures.items()}
        )


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
