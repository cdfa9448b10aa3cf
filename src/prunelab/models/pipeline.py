"""Any diffusers pipeline as a model: opened by its folder, asked through its own call."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self, Unpack

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from prunelab.core.errors import NotRun, Refusal
from prunelab.core.protocols import SamplingOptions
from prunelab.core.settings import Floats, Made, Place, Text, Weights
from prunelab.core.units import Unit
from prunelab.models.asking import is_prompted, makes
from prunelab.models.autoencoding import Autoencoding, Pixels
from prunelab.models.conditions import Conditions, stacked
from prunelab.models.media import Media, Plain
from prunelab.models.origins import opened
from prunelab.models.parts import parts_of
from prunelab.models.pipeline_calls import Calls
from prunelab.models.process import Process, process_of
from prunelab.models.seams import FEATURES, listening, takes
from prunelab.surgery.carried import structure_of, zeroed_in
from prunelab.surgery.saving import save_pipeline
from prunelab.walkers.model_units import units_of

AT_ONCE = 2**17  # numbers of latents that are decoded at once: of 8 pictures of Stable Diffusion, 2 of SDXL
LETTERS = '"a"'  # a prompt with something to write, which some encoders read alone


class PipelineModel:
    """A pipeline with its parts as components: ``denoiser``, ``vae``, and the others under their own names.

    Latents are what the pipeline carries from step to step (packed where it packs them), with the batch in
    front. call: keyword arguments of every call of the pipeline, such as a height. media: what its pictures
    stand for, where they are not themselves what is made.
    """

    def __init__(
        self,
        name: str,
        pipeline: DiffusionPipeline,
        fingerprint: str | Callable[[], str],
        call: Mapping[str, Any] | None = None,
        media: Media | None = None,
        precision: Floats = "fp32",
    ) -> None:
        self.precision: Floats = precision
        self.name, self.pipeline, self.call, self.media = name, pipeline, dict(call or {}), media
        self._fingerprint = fingerprint
        self.attributes = parts_of(name, pipeline)
        self.components: dict[str, nn.Module] = {
            component: getattr(pipeline, attribute) for component, attribute in self.attributes.items()
        }
        for module in self.components.values():
            module.eval().requires_grad_(False)
            if hasattr(module, FEATURES):  # its forward pass, for whoever counts or traces it
                object.__setattr__(module, "forward", getattr(module, FEATURES))
        self.prompted = is_prompted(pipeline)
        self.makes = media.makes if media else makes(pipeline)
        self.timesteps: int = pipeline.scheduler.config.get("num_train_timesteps", 1000)
        self.calls = Calls(name, pipeline, self.attributes["denoiser"], self.prompted, self.call)

    @classmethod
    def open(  # noqa: PLR0913, PLR0917  what a configuration may say
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        embedded: Text | None = None,
        architecture: Text | None = None,
        call: Mapping[str, Any] | None = None,
        media: Made | None = None,
        precision: Floats = "fp32",
        shapes: bool = False,
    ) -> Self:
        """The model in the folder ``path``, else the ``embedded`` one, else of a published ``architecture``.

        weights: ``random`` needs configurations only. precision: of all weights. shapes: weights are not read
        either, which is enough to plan (embedded models have theirs all the same). Raises Refusal for a
        missing or broken folder, and for the weights of an architecture without a folder.
        """
        found = opened(name, path, weights, embedded, architecture, shapes, precision)
        return cls(name, *found, call, media, precision)

    def reopened(self, folder: Path) -> Self:
        """The model saved in ``folder``, under this one's name and asked as this one is."""
        return self.open(self.name, str(folder), call=self.call, media=self.media, precision=self.precision)

    def with_components(self, components: Mapping[str, nn.Module]) -> Self:
        """The same model with some components exchanged; the others are shared, not copied."""
        pipeline = copy.copy(self.pipeline)
        for component, module in components.items():
            object.__setattr__(pipeline, self.attributes[component], module)
        other = type(self)(self.name, pipeline, self._fingerprint, self.call, self.media, self.precision)
        other.calls.heard, other.calls.blanks = self.calls.heard, self.calls.blanks
        return other

    def fingerprint(self) -> str:
        """A hash of the folder's files (of configurations where weights are random), call and precision."""
        told = [str(sorted(self.call.items()))] if self.call else []
        files = self._fingerprint if isinstance(self._fingerprint, str) else self._fingerprint()
        return " ".join([files, *told, *[self.precision][: self.precision != "fp32"]])

    def pruned(self) -> list[str]:
        """The components that were pruned before: in shape, or by single weights that are zero."""
        return [name for name, each in self.components.items() if structure_of(each) or zeroed_in(each)]

    def units(
        self, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
    ) -> list[Unit]:
        """See :func:`prunelab.walkers.model_units.units_of`."""
        return units_of(self.name, self.components, self.example_inputs, granularity, components, bypasses)

    def to(self, device: torch.device) -> None:
        """Move every component; refused where there are shapes alone."""
        self._check_numbers()
        for component in self.components.values():
            component.to(device)

    def save(self, folder: Path | str) -> None:
        """Write an ordinary diffusers folder; pruned components carry their structure."""
        self._check_numbers()
        save_pipeline(self.pipeline, Path(folder))

    def _check_numbers(self) -> None:
        if self.device().type == "meta":
            raise Refusal(
                f"{self.name} was opened without weights: it can be planned (prunelab plan); "
                "to run, give path=FOLDER of its diffusers pipeline"
            )

    def device(self, component: str = "denoiser") -> torch.device:
        """Where a component is."""
        return next(self.components[component].parameters()).device

    @cached_property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one sample's latents."""
        return tuple(self.calls.first_inputs(self.calls.blank(1), 1).latents.shape[1:])

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Keyword arguments of one forward pass at the model's own resolution and prompt length."""
        if component == "vae":
            shape = self._autoencoding.picture_shape
            return {"sample": torch.zeros(batch, *shape, device=self.device("vae"))}
        heard = self._heard(batch)
        if not heard[component]:  # what reads letters, or stands behind the loop, such as a vocoder
            with listening(self.components[component]) as heard[component], torch.no_grad():
                if "prompt" in takes(type(self.pipeline)):
                    self.calls.first_inputs(Conditions((LETTERS,) * batch), batch)
                self.calls.decode(torch.zeros(batch, *self.latent_shape, device=self.device()))
        if not heard[component]:
            raise NotRun(f"{self.name} does not run its {component} to sample: prune other components of it")
        # Shapes alone come from inference mode, which what is returned outlives.
        first = heard[component][0]
        told = tree_map_only(Tensor, lambda each: each.clone() if each.is_inference() else each, first)
        asked = inspect.signature(self.components[component].forward).parameters.values()
        needed = {each.name for each in asked if each.default is each.empty}
        empty = {name for name, each in told.items() if not isinstance(each, Tensor) and each in (None, {})}
        return {name: each for name, each in told.items() if name not in (empty - needed) | {"return_dict"}}

    def _heard(self, batch: int) -> dict[str, list[dict[str, Any]]]:
        """The arguments of each component's forward passes on the way to the denoiser's first.

        Of shapes alone they are heard once: no pruning of a part changes them.
        """
        shapes = self.device().type == "meta"
        if shapes and batch in self.calls.heard:  # which a copy that has numbers may share
            return self.calls.heard[batch]
        self.calls.blanks.pop(batch, None)  # with what was made of it, so that the encoders are asked
        with ExitStack() as stack:
            others = [name for name in self.components if name != "denoiser"]
            found = {name: stack.enter_context(listening(self.components[name])) for name in others}
            found["denoiser"] = [self.calls.first_inputs(self.calls.blank(batch), batch).arguments]
        if shapes:
            self.calls.heard[batch] = found
        return found

    def embed(self, prompts: Sequence[str]) -> Conditions | None:
        """Conditions of the prompts, which are read once; None where the model is unconditional."""
        if not self.prompted:
            return None
        conditions = Conditions(tuple(prompts), stacked=lambda: self._stacked)
        self.calls.read(conditions)
        return conditions

    @cached_property
    def _stacked(self) -> Mapping[str, Sequence[int | None]]:
        """Where the tensors that prompts become have one entry per prompt."""
        one, two = (Conditions(("",) * count) for count in (1, 2))
        with torch.no_grad():
            for each in (one, two):
                self.calls.first_inputs(each, len(each))
        return stacked(one, two)

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """True where the text encoder reads a token of the prompt, False at padding: bool (batch, tokens)."""
        if not self.prompted:
            raise Refusal(f"{self.name} is unconditional and reads no prompts: use a text-to-image model")
        tokenizer = getattr(self.pipeline, "tokenizer", None)
        if tokenizer is None:  # a class is one token, and never padding
            return torch.ones(len(prompts), 1, dtype=torch.bool)
        options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        read = tokenizer(list(prompts), max_length=self._prompt_length, **options)
        return torch.as_tensor(read.attention_mask).bool()

    @cached_property
    def _prompt_length(self) -> int:
        """How many tokens the text encoder reads."""
        return int(self.example_inputs("text_encoder", 1)["input_ids"].shape[1])

    @cached_property
    def process(self) -> Process:
        """The forward process."""
        return process_of(self.pipeline.scheduler)

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Latents at the given timesteps of the forward process."""
        return self.process.noised(latents, timesteps, noise)

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """What ``predict`` is trained towards."""
        return self.process.target(latents, timesteps, noise)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions | None) -> Tensor:
        """The pipeline's prediction for noisy latents (b, ...) at timesteps (b,), without guidance."""
        return self.calls.predict(noisy, self.process.times(timesteps), conditions)

    def sample(
        self,
        conditions: Conditions | None,
        latents: Tensor,
        steps: int,
        guidance: float,
        **options: Unpack[SamplingOptions],
    ) -> Tensor:
        """Latents after every step, shape (steps or 1, batch, ...), as the pipeline's own call makes them."""
        return self.calls.sample(conditions, latents, steps, guidance, **options)

    @cached_property
    def _autoencoding(self) -> Autoencoding | Pixels:
        autoencoder: Any = self.components.get("vae")
        if autoencoder is None:
            return Pixels(self.latent_shape)
        return Autoencoding(
            autoencoder, self.latent_shape, lambda latents: self.calls.latents_to_decode(autoencoder, latents)
        )

    def encode(self, media: Tensor) -> Tensor:
        """uint8 pictures or int16 sounds to latents."""
        kind, shape = self.media or Plain(self.makes), self._autoencoding.picture_shape
        return self._autoencoding.encode(kind.to_pictures(media, shape))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures in [0, 1] or sounds in [-1, 1], channels first; a few of real size at once."""

        def made(few: Tensor) -> Tensor:
            if self.media:
                return self.media.from_pictures(self._autoencoding.decode(few))
            return Plain(self.makes).made(self.calls.decode(few))

        return torch.cat([made(few) for few in latents.split(max(1, AT_ONCE // latents[0].numel()))])
