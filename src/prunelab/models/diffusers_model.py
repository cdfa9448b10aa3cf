"""What models that are diffusers pipelines share: opening, units, the process, exchanging parts, saving."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.models.folders import content_hash, locate, open_random
from prunelab.models.process import noised, target
from prunelab.surgery.carried import structure_of, zeroed_in
from prunelab.surgery.opening import open_pipeline
from prunelab.surgery.saving import save_pipeline
from prunelab.walkers.units import units_of


class DiffusersModel(ABC):
    """A pipeline with its parts as components.

    makes: images or sounds. prompted: whether prompts are read. attributes: component -> the pipeline's name
    for it, the denoiser's U-Net among them. kinds: the classes that a part may be of, where others would
    not do. layout: the folder that messages ask for.
    """

    makes: ClassVar[str] = "images"
    prompted: ClassVar[bool]
    attributes: ClassVar[Mapping[str, str]]
    kinds: ClassVar[Mapping[str, type | tuple[type, ...]]] = {}
    layout: ClassVar[str]

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        self.name = name
        self.pipeline = pipeline
        self._fingerprint = fingerprint
        self.components: dict[str, nn.Module] = {
            component: getattr(pipeline, attribute) for component, attribute in self.attributes.items()
        }
        for module in self.components.values():
            module.eval().requires_grad_(False)
        self.latent_shape: tuple[int, ...] = self._latent_shape()
        self.timesteps: int = pipeline.scheduler.config.num_train_timesteps

    def _latent_shape(self) -> tuple[int, ...]:
        """Channels, height and width, as the U-Net's config says."""
        unet = self.pipeline.unet.config
        size = (unet.sample_size,) * 2 if isinstance(unet.sample_size, int) else tuple(unet.sample_size)
        return (unet.in_channels, *size)

    @classmethod
    def open_folder(cls, name: str, path: str | None, weights: str, embedded: str | None) -> Self:
        """The model in the folder ``path``, else the ``embedded`` one; random weights need its configs only.

        Raises Refusal for a missing or broken folder, another kind of pipeline, or unknown ``weights``.
        """
        check_weights(weights)
        folder = locate(path, embedded)
        pipeline = open_random(folder) if weights == "random" else open_pipeline(folder)
        for attribute in cls.attributes.values():
            part = getattr(pipeline, attribute, None)
            if part is None or not isinstance(part, cls.kinds.get(attribute, nn.Module)):
                kind = type(pipeline).__name__
                raise Refusal(f"{folder} is a {kind} and has no {attribute} that fits: give {cls.layout}")
        return cls(name, pipeline, content_hash(folder, weights))

    @classmethod
    def open(cls, name: str, path: str | None = None) -> Self:
        """The model in the folder ``path``; each family takes more arguments."""
        return cls.open_folder(name, path, "pretrained", None)

    def reopened(self, folder: Path) -> Self:
        """The model saved in ``folder``, under this one's name."""
        return self.open(self.name, str(folder))

    def fingerprint(self) -> str:
        """A hash of the folder's files (of its configs alone where weights are random)."""
        return self._fingerprint

    @abstractmethod
    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Keyword arguments of one forward pass, all zero, at the model's own resolution."""

    def units(
        self, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
    ) -> list[Unit]:
        """See :func:`prunelab.walkers.units.units_of`."""
        return units_of(self, granularity, components, bypasses)

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Latents at the given timesteps of the forward process."""
        return noised(self.pipeline.scheduler, latents, timesteps, noise)

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """What the U-Net is trained towards, by the scheduler's prediction type."""
        return target(self.pipeline.scheduler, latents, timesteps, noise)

    def with_components(self, components: Mapping[str, nn.Module]) -> Self:
        """The same model with some components exchanged; the others are shared, not copied."""
        pipeline = copy.copy(self.pipeline)
        for component, module in components.items():
            object.__setattr__(pipeline, self.attributes[component], module)
        return type(self)(self.name, pipeline, self._fingerprint)

    def pruned(self) -> list[str]:
        """The components that were pruned before: in shape, or by single weights that are zero."""
        return [name for name, each in self.components.items() if structure_of(each) or zeroed_in(each)]

    def to(self, device: torch.device) -> None:
        """Move every component."""
        for component in self.components.values():
            component.to(device)

    def save(self, folder: Path | str) -> None:
        """Write an ordinary diffusers folder; pruned components carry their structure."""
        save_pipeline(self.pipeline, Path(folder))

    def device(self, component: str = "denoiser") -> torch.device:
        """Where a component is."""
        return next(self.components[component].parameters()).device


def check_weights(weights: str) -> None:
    """Refuse what is neither ``pretrained`` nor ``random``."""
    if weights not in ("pretrained", "random"):
        raise Refusal(f"unknown weights {weights!r}: choose from pretrained, random")
