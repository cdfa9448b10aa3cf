"""Adapters: what is trained, what is left when they are merged, and what they are refused for."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.core.units import Gate, Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.distill import Distill
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.lora import Adaptation, Lora
from prunelab.recovery.training_draws import Draws
from prunelab.stages.bench import Part
from prunelab.stages.recover import Finishing, check_recovery
from prunelab.surgery.carried import note_zeros

LORA = Lora(Finetune(), rank=2, alpha=4.0)


@pytest.fixture
def student(model: PipelineModel) -> PipelineModel:
    return model.with_components({"denoiser": copy.deepcopy(model.components["denoiser"])})


@pytest.fixture
def draws(model: PipelineModel) -> Draws:
    latents = torch.randn(3, *model.latent_shape, generator=generator(0, 0, "bank"))
    return Draws(latents, ["a red seven on a blue background"] * 3, model.timesteps, drop=0.0, seed=4)


def adapted(student: PipelineModel, model: PipelineModel, draws: Draws, knobs: Lora = LORA) -> Adaptation:
    return knobs.objective(student, model, draws)


def test_untrained_adapters_change_nothing(
    model: PipelineModel, student: PipelineModel, draws: Draws
) -> None:
    plain = Finetune().objective(model, model, draws)
    with torch.no_grad():
        expected = plain.loss(plain.batch(range(3)))["loss"]
        objective = adapted(student, model, draws)
        assert float(objective.loss(objective.batch(range(3)))["loss"]) == pytest.approx(float(expected))
    model.components["denoiser"].requires_grad_(False)


@pytest.mark.parametrize("method", [Finetune(), Distill()])
def test_merged_weights_are_w_plus_b_a(
    model: PipelineModel, student: PipelineModel, draws: Draws, method: Finetune | Distill
) -> None:
    before = {name: weight.clone() for name, weight in student.components["denoiser"].state_dict().items()}
    objective = adapted(student, model, draws, Lora(method, rank=2, alpha=4.0))
    moving = {name: p for name, p in objective.trained.named_parameters() if p.requires_grad}
    assert moving
    assert all("lora_" in name for name in moving)
    optimiser = torch.optim.AdamW(moving.values(), 1e-2)
    for step in range(2):
        objective.loss(objective.batch(range(2 * step, 2 * step + 2)))["loss"].backward()
        optimiser.step()
    deltas = {}
    for name, matrix in moving.items():
        if ".lora_A." in name:
            other = moving[name.replace(".lora_A.", ".lora_B.")]
            deltas[f"{name.partition('.lora_A.')[0]}.weight"] = 4.0 / 2 * other.detach() @ matrix.detach()
    assert isinstance(objective, Finishing)
    objective.finish()
    after = student.components["denoiser"].state_dict()
    assert after.keys() == before.keys()  # the structure is what it was
    assert not any("lora" in type(module).__module__ for module in student.components["denoiser"].modules())
    for name, weight in after.items():
        assert torch.allclose(weight, before[name] + deltas.get(name, 0.0), atol=1e-6)
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in deltas} == {"to_q", "to_k", "to_v", "0"}
    assert all(float(delta.abs().max()) > 0 for delta in deltas.values())


def test_adapters_are_drawn_from_the_seed_alone(model: PipelineModel, draws: Draws) -> None:
    made = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        own = model.with_components({"denoiser": copy.deepcopy(model.components["denoiser"])})
        made.append(dict(adapted(own, model, draws).trained.named_parameters()))
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_convolutions_can_be_adapted(model: PipelineModel, student: PipelineModel, draws: Draws) -> None:
    objective = adapted(student, model, draws, Lora(Finetune(), rank=1, targets=["conv1"]))
    objective.loss(objective.batch(range(2)))["loss"].backward()
    objective.finish()
    assert isinstance(
        student.components["denoiser"].get_submodule("down_blocks.0.resnets.0.conv1"), nn.Conv2d
    )


def test_what_adapters_cannot_do_is_refused(
    model: PipelineModel, student: PipelineModel, draws: Draws
) -> None:
    with pytest.raises(Refusal, match=r"\['to_nowhere'\] names no layer"):
        adapted(student, model, draws, Lora(Finetune(), targets=["to_nowhere"]))
    with pytest.raises(Refusal, match="rank=0"):
        Lora(Finetune(), rank=0)
    with pytest.raises(Refusal, match="targets"):
        Lora(Finetune(), targets=[])


class Asked:
    def __init__(self, method: object) -> None:
        self.method, self.gradient_checkpointing = method, False


def test_zeros_and_weights_from_nothing_are_refused_before_work_starts() -> None:
    head = Unit("denoiser", "h", "head", 4, (), Gate("h", "input"), "h")
    weight = Unit("denoiser", "w", "weight", 6, (), Gate("w", "weight"), "w", matrix=(2, 3))
    lora, plain = (Part("lora", Asked(method), {}) for method in (LORA, Finetune()))
    whole, holed = (
        SimpleNamespace(components={"denoiser": nn.ModuleDict({"w": nn.Linear(3, 2)})}) for _ in range(2)
    )
    note_zeros(holed.components["denoiser"], ["w.weight"])  # as an earlier pruning left it
    for model, units in ((whole, [head, weight]), (holed, [head])):
        with pytest.raises(Refusal, match="would fill the zeros of single weights"):
            check_recovery(lora, model, units, scratch=False)
    with pytest.raises(Refusal, match="scratch=true"):
        check_recovery(lora, whole, [head], scratch=True)
    check_recovery(lora, whole, [head], scratch=False)
    check_recovery(plain, holed, [head, weight], scratch=True)
