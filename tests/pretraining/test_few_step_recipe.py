"""The recipe of the few-step model, scaled down: the teacher's folder with another U-Net in it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file

from prunelab.data.digits import Digits
from prunelab.models.folders import EMBEDDED
from prunelab.models.pipeline import PipelineModel
from prunelab.pretraining.few_step_recipe import WEIGHTS, FewStepRecipe
from prunelab.stages.pretrain import pretrain
from prunelab.trainers.hardware import Hardware

CONF = Path(__file__).parents[2] / "conf" / "model" / "tiny_t2i_4step.yaml"


def recipe() -> FewStepRecipe:
    """The real networks on few pictures for few steps."""
    full: FewStepRecipe = instantiate(OmegaConf.load(CONF).pretrain)
    short = replace(full.schedule, steps=2, batch_size=4, warmup=1, checkpoint_every=1)
    return replace(full, data=Digits(train_size=16, test_size=8), examples=16, schedule=short)


def silent(values: Mapping[str, float], step: int) -> None:
    """A log that keeps nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts."""
    return pretrain(recipe(), tmp_path_factory.mktemp("made"), Hardware(), silent)


def test_all_but_the_unet_is_the_teachers(made: Path) -> None:
    teacher, pipeline = EMBEDDED / "tiny_t2i", made / "pipeline"
    names = {path.relative_to(pipeline).as_posix() for path in pipeline.rglob("*") if path.is_file()}
    assert names == {path.relative_to(teacher).as_posix() for path in teacher.rglob("*") if path.is_file()}
    differing = {name for name in names if (teacher / name).read_bytes() != (pipeline / name).read_bytes()}
    assert differing == {WEIGHTS}
    assert {tensor.dtype for tensor in load_file(pipeline / WEIGHTS).values()} == {torch.float16}
    opened = PipelineModel.open("few", str(pipeline))
    assert opened.components["denoiser"].conv_in.weight.dtype == torch.float32


def test_a_killed_run_goes_on_where_it_was(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        calls, original = iter(range(10)), FewStepRecipe._halving

        def failing(self: FewStepRecipe, number: int, finished: Path) -> object:
            if next(calls) == 1:
                raise KeyError("the power went")
            return original(self, number, finished)

        patch.setattr(FewStepRecipe, "_halving", failing)
        with pytest.raises(KeyError, match="the power went"):
            pretrain(recipe(), tmp_path, Hardware(), silent)
    assert (tmp_path / "steps_8").is_dir()
    assert not (tmp_path / "steps_4").exists()
    pretrain(recipe(), tmp_path, Hardware(), silent)
    first, second = (load_file(folder / "pipeline" / WEIGHTS) for folder in (made, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_recipe_is_known_by_what_decides_it() -> None:
    assert recipe().fingerprint == recipe().fingerprint
    rarely = replace(recipe(), schedule=replace(recipe().schedule, checkpoint_every=50))
    assert rarely.fingerprint == recipe().fingerprint != replace(recipe(), guidance=3.0).fingerprint
