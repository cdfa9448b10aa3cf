"""Settings of the trainer that change how a denoiser computes: by round-off, in a pass, and in addresses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.observation import Observation
from prunelab.core.protocols import Model
from prunelab.engine.arithmetic import computing
from prunelab.engine.observe import collect
from prunelab.engine.optimise import optimise
from prunelab.engine.placement import check_hardware
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.finetune import DenoisingObjective
from prunelab.recovery.training_draws import Batch, Draws
from prunelab.schedules.schedule import Schedule
from prunelab.trainers.hardware import Hardware

ROUND_OFF = {"rtol": 1e-4, "atol": 1e-5}
WAYS = {
    "tf32": Hardware(tf32=True),
    "channels_last": Hardware(channels_last=True),
    "eager": Hardware(compiler="eager"),
}


@pytest.fixture
def model() -> PipelineModel:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8,
        in_channels=3,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return PipelineModel(
        "pixels", DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=100)), "a small U-Net"
    )


def convolution(model: Model) -> Tensor:
    return model.components["denoiser"].get_parameter("conv_in.weight")


def channels_last(model: Model) -> bool:
    return convolution(model).is_contiguous(memory_format=torch.channels_last)


def sampled(model: PipelineModel, hardware: Hardware, look: Callable[[], None] = lambda: None) -> Tensor:
    """The last latents of two steps."""

    def observe(rows: range, device: torch.device) -> dict[str, Tensor]:
        look()
        noise = normal(model.latent_shape, 0, rows, "noise", device)
        return {"latents": model.sample(None, noise, 2, 1.0, last=True)[-1]}

    return collect(Observation(model, 2, 2, observe), hardware, "test")["latents"]


class Looking(DenoisingObjective):
    """Fine-tuning that notes whether its convolutions have their channels last."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        self.seen = channels_last(self.student)
        return super().loss(batch)


def fine_tuning(model: Model) -> Looking:
    return Looking(model, Draws(normal((3, 8, 8), 0, range(4), "data"), None, 100, 0.0, 0))


def trained(model: Model, hardware: Hardware, folder: Path, optimiser: Any = "adamw") -> tuple[Tensor, bool]:
    """All weights after three steps of fine-tuning, and what was seen on the way."""
    objective = fine_tuning(model)
    schedule = Schedule(steps=3, batch_size=2, learning_rate=1e-3, optimiser=optimiser)
    optimise(objective, schedule, hardware, folder, "test", lambda *_: None)
    weights = [each.detach().flatten() for each in objective.trained.parameters()]
    return torch.cat(weights), objective.seen


@pytest.mark.parametrize("way", ["tf32", "channels_last"])
def test_samples_are_the_same_to_round_off(model: PipelineModel, way: str) -> None:
    """And the model, as well as the process, is afterwards as it was."""
    inside = list[tuple[bool, str]]()

    def state() -> tuple[bool, str]:
        return channels_last(model), torch.get_float32_matmul_precision()

    before, plain = state(), sampled(model, Hardware())
    other = sampled(model, WAYS[way], lambda: inside.append(state()))
    torch.testing.assert_close(other, plain, **ROUND_OFF)
    assert before == (False, "highest") == state()
    assert inside == [(way == "channels_last", "high" if way == "tf32" else "highest")]
    assert convolution(model).is_contiguous()


def test_gradients_are_the_same_to_round_off(model: PipelineModel) -> None:
    objective = fine_tuning(model)
    found = []
    for hardware in (Hardware(), Hardware(channels_last=True)):
        with computing(hardware, objective.frozen):
            objective.loss(objective.batch(range(4)))["loss"].backward()
            assert objective.seen == hardware.channels_last
        found.append({name: each.grad for name, each in objective.trained.named_parameters()})
        objective.trained.zero_grad()
    torch.testing.assert_close(*found, **ROUND_OFF)


def test_trainings_of_other_arithmetic(model: PipelineModel, tmp_path: Path) -> None:
    """AdamW makes whole steps of gradients that are round-off: what is alike is how far all weights went."""
    start = {name: each.clone() for name, each in model.components["denoiser"].state_dict().items()}
    plain, seen = trained(model, Hardware(), tmp_path / "plain")
    went = (plain - torch.cat([each.flatten() for each in start.values()])).norm()
    assert not seen
    for hardware, optimiser in (
        (Hardware(channels_last=True), "adamw"),
        (Hardware(pinned=True), "adamw_fused"),
    ):
        model.components["denoiser"].load_state_dict(start)
        other, seen = trained(model, hardware, tmp_path / optimiser / str(hardware.pinned), optimiser)
        assert seen == hardware.channels_last
        assert (other - plain).norm() < 0.01 * went
        assert convolution(model).is_contiguous()


def test_what_is_compiled_is_compiled_once(model: PipelineModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stands in the place of the forward pass in every pass, and nowhere after them."""
    asked, calls = list[str](), list[None]()

    def compiling(forward: Callable[..., Any], backend: str) -> Callable[..., Any]:
        asked.append(backend)

        def compiled(*args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            return forward(*args, **kwargs)

        return compiled

    monkeypatch.setattr(torch, "compile", compiling)
    plain = sampled(model, Hardware())
    for done in (1, 2):
        assert torch.equal(sampled(model, WAYS["eager"]), plain)
        assert len(calls) == 2 * done
    assert asked == ["eager"]
    assert "forward" not in vars(model.components["denoiser"])


class Small:
    """As much of a model as is asked for."""

    def __init__(self) -> None:
        layers = nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 3)
        self.components: dict[str, nn.Module] = {"denoiser": nn.Sequential(*layers)}


def test_a_compiled_forward_pass_is_gated_and_goes_back_as_the_other_does() -> None:
    model, found = Small(), list[tuple[Tensor, Tensor]]()
    denoiser, inputs = model.components["denoiser"], normal((2, 8, 8), 0, range(2), "inputs")
    gate = torch.full((1,), 0.5, requires_grad=True)
    denoiser[2].register_forward_pre_hook(lambda _, given: (given[0] * gate,))  # type: ignore[index]
    for hardware in (Hardware(), WAYS["eager"]):
        with computing(hardware, [model]):
            output = denoiser(inputs)
        found.append((output.detach(), *torch.autograd.grad(output.sum(), gate)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_addresses_know_what_changes_results_and_are_as_before_without() -> None:
    assert Hardware(workers=3, pinned=True, offload=True).arithmetic == "32-true"
    assert Hardware(precision="bf16-mixed").arithmetic == "bf16-mixed"
    assert len({Hardware().arithmetic, *[each.arithmetic for each in WAYS.values()]}) == len(WAYS) + 1


@pytest.mark.parametrize("setting", [{"channels_last": True}, {"compiler": "eager"}])
def test_weights_that_are_shared_out_are_refused_them(setting: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="use ddp"):
        Hardware(strategy="fsdp", **setting)


def test_without_a_compiler_of_its_own_the_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    with pytest.raises(Refusal, match="needs a C\\+\\+ compiler"):
        check_hardware(Hardware(compiler="inductor"))
