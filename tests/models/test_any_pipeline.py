"""One class for every pipeline: against each family's own call, from its real classes."""

import copy
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from families import FAMILIES, REFUSED, Small
from torch import Tensor
from torch.utils._pytree import tree_leaves

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.costs.counts import Counts
from prunelab.models.conditions import Conditions
from prunelab.models.pipeline import PipelineModel
from prunelab.models.process import deterministic
from prunelab.models.seams import takes

# Families whose scheduler draws noise in its steps: the same only under the same generators.
DRAWING = {"latent_consistency", "consistency", "deepfloyd_if", "kandinsky_22", "kandinsky_3"}
DRAWING |= {"sana_sprint", "stable_cascade_prior"}
# What prompts become depends on the other prompts of the batch, as the pipeline pads or cuts to the longest.
# The consistency model draws a class for each sample in turn.
COMPANY = {"consistency", "kandinsky_3", "latte", "audioldm2", "cogview_4", "pixart_alpha", "pixart_sigma"}
NOT_SAMPLED = {name: why for name, why in REFUSED.items() if why.startswith("adds")}
NOT_OPENED = {*REFUSED} - {*NOT_SAMPLED}
# What their schedulers do not say.
NOT_TRAINED = {"consistency", "dance_diffusion", "any_flow", "sana_sprint", "stable_cascade_prior"}
NOT_GUIDED = {"easy_animate"}  # the small one's empty prompt is shorter than others, and the pipeline stops
TWO_STEPS = {"sana_sprint": 2}  # of a call that does not say otherwise
DEAR = {"hidream"}  # at its smallest 256 x 256 pixels
NOT_DECODED = {"allegro"}  # its autoencoder decodes by tiles alone
NOT_ENCODED = {"audioldm2": "cannot be encoded"}


class Opened:
    """A small instance, saved and opened by its path, and how its own call is asked."""

    def __init__(self, name: str, small: Small, folder: Path) -> None:
        self.name = name
        small.pipeline.save_pretrained(folder)
        self.model = PipelineModel.open(name, str(folder), call=small.call)
        words = {"text": ["a red house", "a house"], "label": ["1", "0"], "none": ["", ""]}
        self.prompts = words[small.prompt]
        self.conditions = self.model.embed(self.prompts)
        self.guidance = 1.0 if name in NOT_GUIDED else 3.0

    def noise(self, seed: int = 0) -> Tensor:
        return normal(self.model.latent_shape, seed, range(2), "test")


@pytest.fixture(scope="module", params=sorted({*FAMILIES} - {*NOT_SAMPLED} - NOT_OPENED))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(request.param, FAMILIES[request.param](), tmp_path_factory.mktemp("family") / "model")


def stock_call(family: Opened, steps: int, guidance: float) -> tuple[Tensor, Any]:
    """The pipeline called as anybody would; the latents it started from, and what it made."""
    pipeline: Any = copy.copy(family.model.pipeline)
    scheduler = copy.deepcopy(deterministic(pipeline.scheduler))
    object.__setattr__(pipeline, "scheduler", scheduler)
    step, started = scheduler.step, list[Tensor]()

    def watched(model_output: Any, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        started.append(sample)
        return step(model_output, timestep, sample, *args, **kwargs)

    watched.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]
    scheduler.step = watched
    names = takes(type(pipeline))
    given = {"prompt": family.prompts, "guidance_scale": guidance, "batch_size": 2, "output_type": "pt"}
    if "prompt" not in names and "class_labels" in names and family.model.prompted:
        given["class_labels"] = [int(prompt) for prompt in family.prompts]
    given |= {"num_inference_steps": steps, "return_dict": False}
    given |= {"generator": torch.Generator().manual_seed(0)}
    own = {key: value for key, value in given.items() if key in names}
    repeated = {k: torch.cat([v] * 2) if isinstance(v, Tensor) else v for k, v in family.model.call.items()}
    made = pipeline(**own, **repeated)[0]
    sigma = float(getattr(scheduler, "init_noise_sigma", 1.0))
    return started[0][:2] / sigma, made


@torch.no_grad()
def test_it_samples_and_decodes_as_the_pipeline_does(family: Opened) -> None:
    model = family.model
    if family.name in NOT_DECODED:
        assert model.sample(family.conditions, family.noise(), 2, family.guidance).isfinite().all()
        return
    steps = TWO_STEPS.get(family.name, 3)
    start, made = stock_call(family, steps, family.guidance)
    ours = model.decode(
        model.sample(family.conditions, start.reshape(family.noise().shape), steps, family.guidance)[-1]
    )
    assert ours.isfinite().all()
    if family.name not in DRAWING:
        theirs = torch.as_tensor(made)
        theirs = theirs if theirs.shape == ours.shape else theirs.reshape(ours.shape)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_checkpointed_gradient_is_plain_backpropagation(family: Opened) -> None:
    """Exactly, through whatever scheduler there is."""
    model, gradients = family.model, []
    weight = max(model.components["denoiser"].parameters(), key=lambda each: each.ndim >= 2)
    try:
        weight.requires_grad_(True)
        for checkpointed in (False, True):
            latents = family.noise().requires_grad_(True)
            last = model.sample(family.conditions, latents, 2, 1.0, last=True, checkpointed=checkpointed)[-1]
            gradients.append(torch.autograd.grad(last.square().mean(), [latents, weight]))
    finally:
        weight.requires_grad_(False)
    for plain, again in zip(*gradients, strict=True):
        assert torch.equal(plain, again)
        assert plain.isfinite().all()


@torch.no_grad()
def test_a_sample_is_its_own_whatever_stands_beside_it(family: Opened) -> None:
    if family.name in COMPANY:
        return
    both = family.model.sample(family.conditions, family.noise(), 2, family.guidance, last=True)[-1]
    asked = None if family.conditions is None else family.conditions[torch.tensor([1])]
    alone = family.model.sample(asked, family.noise()[1:], 2, family.guidance, last=True)[-1]
    torch.testing.assert_close(alone, both[1:], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_prompts_are_read_again_by_a_call_that_ends_there(family: Opened) -> None:
    """With the same result; nor did the calls before it write into what their schedulers share."""
    if family.conditions is not None:
        calls, again = family.model.calls, Conditions(family.conditions.prompts)
        ended = calls.first_inputs(again, 2, calls.readings)
        assert (ended is None) == bool(again.known)
        assert len(again.known) == calls.readings
        before = {call: family.conditions.known[call] for call in again.known}  # beside those under guidance
        pairs = zip(tree_leaves(again.known), tree_leaves(before), strict=True)
        assert all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)
    own = deterministic(family.model.pipeline.scheduler)
    fresh = vars(type(own).from_config(own.config))
    for name, value in vars(own).items():
        assert not isinstance(value, Tensor) or torch.equal(value, fresh[name])


@torch.no_grad()
def test_a_prediction_leads_back_to_the_latents(family: Opened) -> None:
    """The target is what noise and latents say, and the prediction has its shape."""
    model, timesteps = family.model, torch.tensor([100, 800])
    if family.name in NOT_TRAINED:
        with pytest.raises(Refusal, match="does not say how its model was trained"):
            model.noised(family.noise(), timesteps, family.noise(1))
        return
    noisy = model.noised(family.noise(), timesteps, family.noise(1))
    predicted = model.predict(noisy, timesteps, family.conditions)
    assert predicted.shape == noisy.shape == model.target(family.noise(), timesteps, family.noise(1)).shape
    assert predicted.isfinite().all()
    asked = None if family.conditions is None else family.conditions[torch.tensor([1])]
    if family.name not in COMPANY:
        alone = model.predict(noisy[1:], timesteps[1:], asked)
        torch.testing.assert_close(alone, predicted[1:], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_data_are_encoded_as_the_pipeline_decodes(family: Opened) -> None:
    """What the autoencoder is given for the latents that it makes of media is what it made of them."""
    model = family.model
    if family.name in NOT_DECODED | DEAR:
        return
    media = model.decode(family.noise())
    stored = (media * 255).round().to(torch.uint8) if model.makes != "sounds" else (media * 2000).short()
    if family.name in NOT_ENCODED:
        with pytest.raises(Refusal, match=NOT_ENCODED[family.name]):
            model.encode(stored)
        return
    latents = model.encode(stored)
    assert latents.shape == family.noise().shape
    if "vae" in model.components:
        autoencoding: Any = model._autoencoding
        given = autoencoding.path(latents)
        places, factors, shifts = autoencoding._inverse
        back = torch.zeros(2, len(places)).index_copy(1, places, (given.reshape(2, -1) - shifts) * factors)
        torch.testing.assert_close(back.reshape(latents.shape), latents, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(NOT_SAMPLED))
def test_what_is_not_supported_is_refused_by_name(name: str, tmp_path: Path) -> None:
    opened = Opened(name, FAMILIES[name](), tmp_path / "model")
    noise = opened.noise().requires_grad_(True)
    with pytest.raises(Refusal, match=NOT_SAMPLED[name]):
        opened.model.sample(opened.conditions, noise, 2, 1.0)


def test_what_a_call_refuses_is_one_line(tmp_path: Path) -> None:
    opened = Opened("sana_sprint", FAMILIES["sana_sprint"](), tmp_path / "model")
    with pytest.raises(Refusal, match="sana_sprint refuses 3 steps: Interm"):
        opened.model.sample(opened.conditions, opened.noise(), 3, 1.0)


@pytest.mark.parametrize("name", sorted(NOT_OPENED))
def test_a_call_that_fails_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"for the prompt '.*': .*Error: .* \+model\.open\.call"):
        Opened(name, FAMILIES[name](), tmp_path / "model").noise()


def test_what_is_not_run_to_sample_costs_nothing_and_cannot_be_pruned() -> None:
    """The weights of a motion adapter were copied into the U-Net."""
    small = FAMILIES["animate_diff"]()
    model = PipelineModel("animate", small.pipeline, "", small.call)
    adapter = model.components["motion_adapter"]
    counted = Counts(model).of(model, "motion_adapter")
    assert counted.total == 0
    assert counted.by_module.keys() == dict(adapter.named_modules()).keys()
    assert model.units(["operator"], ["denoiser"])
    with pytest.raises(Refusal, match="animate does not run its motion_adapter to sample"):
        model.units(["operator"], ["motion_adapter"])


def test_an_encoder_of_letters_is_counted_with_some_to_write() -> None:
    small = FAMILIES["hunyuan_image"]()
    model = PipelineModel("letters", small.pipeline, "", small.call)
    read = model.example_inputs("text_encoder_2", 2)
    assert read["input_ids"].shape == (1, small.pipeline.tokenizer_2_max_length)


def test_a_folder_of_no_denoiser_is_refused(model: PipelineModel, tmp_path: Path) -> None:
    class Bare(DiffusionPipeline):
        def __init__(self, scheduler: Any) -> None:
            super().__init__()
            self.register_modules(scheduler=scheduler)

    with pytest.raises(Refusal, match="no denoiser to prune"):
        PipelineModel("bare", Bare(model.pipeline.scheduler), "x")
