"""What is asked of a pipeline's own call: first inputs, samples, single predictions, decoding."""

import copy
import functools
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import Any, NamedTuple

import torch
from diffusers import DiffusionPipeline
from torch import Tensor
from torch.utils._pytree import tree_map_only

from prunelab.core.errors import Refusal
from prunelab.costs.answering import Answering
from prunelab.models.asking import asked
from prunelab.models.conditions import Conditions
from prunelab.models.process import deterministic
from prunelab.models.sampling import Sampler, generators
from prunelab.models.seams import Denoise, Forward, Heard, Inputs, Stepped, alike, called, replaced, takes
from prunelab.models.spacing import QuadraticSampler
from prunelab.surgery.tiling import tiled

# What pipelines raise for settings that they cannot run with.
REFUSALS = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError)
STEPS = 2  # of a call that is not to sample; some pipelines cannot do with one


class Calls:
    """The calls of ``pipeline``, whose denoiser is its ``attribute``, each under ``call``'s own arguments."""

    def __init__(
        self, name: str, pipeline: DiffusionPipeline, attribute: str, prompted: bool, call: Mapping[str, Any]
    ) -> None:
        self.name, self.pipeline, self.prompted, self.call = name, pipeline, prompted, call
        self.denoiser: Any = getattr(pipeline, attribute)
        self._takes = takes(type(pipeline))
        self._output_shape: torch.Size | None = None
        self.blanks: dict[int, Conditions | None] = {}  # by batch: of shapes alone, which no pruning changes
        self.heard: dict[int, dict[str, list[dict[str, Any]]]] = {}
        self.readings = 0  # of the prompts, in a call; 0 before the first

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return torch.device(next(self.denoiser.parameters()).device)

    @property
    def told(self) -> float:
        """The guidance of single predictions: of a distilled one what the model is to be told; none else."""
        distilled = self.denoiser.config.get("guidance_embeds")
        return float(self.call.get("guidance_scale", 1.0)) if distilled else 1.0

    def scheduler(self, quadratic: bool = False) -> Any:
        """A sampler to spend on one call."""
        if quadratic:
            return QuadraticSampler(self.pipeline.scheduler)
        own = deterministic(self.pipeline.scheduler)
        shared = [own.config, *(each for each in vars(own).values() if isinstance(each, Tensor))]
        scheduler: Any = copy.deepcopy(own, {id(each): each for each in shared})  # replaced, never changed
        if self.device.type == "meta":  # a scheduler looks at its numbers
            _prepare_on_cpu(scheduler)
        return scheduler

    def blank(self, batch: int) -> Conditions | None:
        """Empty prompts; None where the model is unconditional."""
        empty = Conditions(("",) * batch) if self.prompted else None
        return self.blanks.setdefault(batch, empty) if self.device.type == "meta" else empty

    def __call__(
        self,
        conditions: Conditions | None,
        batch: int,
        denoise: Denoise,
        advance: Callable[..., Any] | None = None,
        *,
        scheduler: Any = None,
        steps: int = STEPS,
        guidance: float | None = None,
        readings: int = 0,
        **more: Any,
    ) -> Any:
        """The pipeline's call for ``batch`` samples, listened to; ``more`` goes in where it is taken."""
        prompts = None if conditions is None else conditions.prompts
        guidance = self.told if guidance is None else guidance
        told: dict[str, Any] = {"steps": steps, "guidance": guidance, "call": self.call}
        given = asked(self.pipeline, self._takes, self.name, prompts, batch, **told)
        if self.device.type != "meta":
            more = {"generator": torch.Generator(self.device).manual_seed(0), **more}
        given |= {name: value for name, value in more.items() if name in self._takes}
        parts = self._parts(conditions, readings)
        parts["scheduler"] = self.scheduler() if scheduler is None else scheduler
        shapes = Answering() if self.device.type == "meta" else nullcontext()
        with shapes, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # some draw classes that they are not given
            return called(self.pipeline, self.denoiser, given, denoise, advance, **parts)

    def _parts(self, conditions: Conditions | None, readings: int) -> dict[str, Any]:
        """What takes the place of the pipeline's own: nothing judges pictures, and prompts are read once."""
        parts: dict[str, Any] = {"safety_checker": None} if hasattr(self.pipeline, "safety_checker") else {}
        if conditions is not None and hasattr(self.pipeline, "encode_prompt"):
            parts["encode_prompt"] = conditions.remembering(self.pipeline.encode_prompt, readings)
        return parts

    def read(self, conditions: Conditions) -> None:
        """Have the prompts read: the first call shows how often they are, later ones end with the last."""
        self.first_inputs(conditions, len(conditions), self.readings)
        self.readings = len(conditions.known)

    def first_inputs(self, conditions: Conditions | None, batch: int, readings: int = 0) -> Inputs:
        """What the denoiser is asked first, without guidance; refuses what the pipeline's call cannot do."""
        try:
            inputs: Inputs = self(conditions, batch, _hear_inputs, readings=readings)
        except REFUSALS as error:
            if isinstance(error, Refusal):
                raise
            words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            asked_for = f" for the prompt {conditions.prompts[0]!r}" if conditions else ""
            raise Refusal(
                f"the {type(self.pipeline).__name__} {self.name} does not come as far as its denoiser"
                f"{asked_for}: {words}; what its call lacks can be given as +model.open.call.NAME=VALUE"
            ) from error
        return inputs

    def sample(
        self,
        conditions: Conditions | None,
        latents: Tensor,
        steps: int,
        guidance: float,
        quadratic: bool = False,
        **options: Any,
    ) -> Tensor:
        """Latents after every step, shape (steps or 1, batch, ...)."""
        sampler = Sampler(self.scheduler(quadratic), latents, **options)
        told: dict[str, Any] = {"scheduler": sampler.scheduler, "steps": steps, "guidance": guidance}
        told |= {"generator": generators(latents) or None, "output_type": "latent"}
        try:
            self(conditions, len(latents), sampler.denoise, sampler.advance, **told)
        except ValueError as error:
            why = " ".join(str(error).split())[:200]
            raise Refusal(f"{self.name} refuses {steps} steps: {why}") from error
        return torch.stack(sampler.passed).to(latents.dtype)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions | None) -> Tensor:
        """The prediction for noisy latents (b, ...) at the scheduler's timesteps (b,)."""
        factor, start = self._clock
        told = timesteps if (factor, start) == (1.0, 0.0) else start + factor * timesteps

        def denoise(forward: Forward, inputs: Inputs) -> Any:
            return forward(**inputs.replaced(noisy, told))

        prediction: Tensor = self(conditions, len(noisy), denoise, _hear_prediction)
        if prediction.ndim == noisy.ndim and prediction.shape[1] == 2 * noisy.shape[1]:
            prediction = prediction[:, : noisy.shape[1]]  # a learned variance stands behind it
        return alike(prediction, noisy.shape).to(noisy.dtype)

    @cached_property
    def _clock(self) -> tuple[float, float]:
        """How time is told: ``start + factor * timestep``, seen at two steps of a call."""
        (first, at), (second, later) = (self._time(step) for step in (0, 1))
        factor = (first - second) / (at - later)
        count = self.pipeline.scheduler.config.get("num_train_timesteps", 1000)
        usual = ((1.0, 0.0), (1 / count, 0.0), (-1 / count, 1.0))
        exact = 1e-4 if self.denoiser.dtype == torch.float32 else 0.05  # told in the model's own
        found = next((each for each in usual if abs(factor / each[0] - 1) < exact), None)
        return found or (factor, first - factor * at)

    def _time(self, step: int) -> tuple[float, float]:
        """The timestep that the denoiser is told at ``step``, and the scheduler's own."""
        scheduler = self.scheduler()
        prepare = scheduler.set_timesteps

        @functools.wraps(prepare)  # pipelines look at what it takes
        def set_later(*args: Any, **kwargs: Any) -> None:
            prepare(*args, **kwargs)
            scheduler.timesteps = scheduler.timesteps[step:]

        with replaced(scheduler, set_timesteps=set_later):
            inputs: Inputs = self(self.blank(1), 1, _hear_inputs, scheduler=scheduler)
        return float(torch.as_tensor(inputs.time).flatten()[0]), float(scheduler.timesteps[0])

    def decode(self, latents: Tensor) -> Any:
        """What the pipeline makes of these latents: media as it returns them."""
        return tiled(getattr(self.pipeline, "vae", None), lambda: self._ended(latents))[0]

    def _ended(self, latents: Tensor) -> Any:
        """What the call returns when its loop leaves these latents, or what is heard behind the loop."""

        def end(step: Any, output: Any, timestep: Any, sample: Any, *_: Any, **__: Any) -> Stepped:
            own = alike(latents, sample.shape).to(sample.dtype)
            return Stepped(own, own)

        batch = len(latents)
        return self(self.blank(batch), batch, self._outline, end, output_type="pt")

    def _outline(self, forward: Forward, inputs: Inputs) -> Any:
        """An output of the denoiser that nobody will read: zeros, once its shape is known."""
        if self._output_shape is None:
            # A scheduler without numbers to look at tells the time from the CPU.
            output = forward(**tree_map_only(Tensor, lambda each: each.to(self.device), inputs.arguments))
            if isinstance(output[0], Tensor):
                self._output_shape = output[0].shape[1:]
            return output
        return Outline(inputs.latents.new_zeros(len(inputs.latents), *self._output_shape))

    def latents_to_decode(self, autoencoder: Any, latents: Tensor) -> Tensor:
        """What ``autoencoder`` is given to decode for these latents: as they are unpacked and scaled."""

        def hear(z: Tensor, *_: Any, **__: Any) -> Any:
            raise Heard(z)

        with replaced(autoencoder, decode=hear), torch.no_grad():
            return torch.as_tensor(self._ended(latents))


def _prepare_on_cpu(scheduler: Any) -> None:
    prepare = scheduler.set_timesteps

    @functools.wraps(prepare)
    def prepared(*args: Any, **kwargs: Any) -> None:
        prepare(*args, **{**kwargs, "device": "cpu"})

    scheduler.set_timesteps = prepared


class Outline(NamedTuple):
    """What stands for a denoiser's output, read by name or by place."""

    sample: Tensor


def _hear_inputs(forward: Forward, inputs: Inputs) -> Any:
    raise Heard(inputs)


def _hear_prediction(step: Any, output: Tensor, *_: Any, **__: Any) -> Any:
    raise Heard(output)
