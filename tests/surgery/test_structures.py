"""A structure from elsewhere changes a model as surgery would have changed it, or is refused in one line."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import prunelab
from prunelab.core.errors import Refusal
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery import portable
from prunelab.surgery.components import open_component
from prunelab.surgery.portable import apply_structure
from prunelab.surgery.pruned_layers import Scattered, Skip
from prunelab.surgery.pruned_structure import COUNTS, WIDTHS, check_form
from prunelab.surgery.slimming import slim

RESNET = "down_blocks.0.resnets.0"
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
NORM = f"{RESNET}.norm1"
LINEAR = f"{ATTENTION}.to_q"
CONVOLUTION = "conv_in"
BIAS = {"becomes": "bias", "biases": ["to_out.0"]}


def small() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32,), layers_per_block=1, norm_num_groups=8,
        attention_head_dim=4, cross_attention_dim=16, mid_block_type=None,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def skeleton() -> nn.Module:
    """A denoiser without weights."""
    with torch.device("meta"):
        return small()


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a denoiser, dense, whose structure tests put in."""
    folder = tmp_path_factory.mktemp("structures") / "unet"
    small().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved(model: PipelineModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned folder whose structure tests exchange."""
    units = model.units(["head"], ["denoiser"])[:1]
    small = slim(model.components["denoiser"], units, {units[0].name: torch.arange(units[0].elements) > 0})
    folder = tmp_path_factory.mktemp("structures") / "model"
    model.with_components({"denoiser": small}).save(folder)
    return folder


def structure(step: Any, **others: Any) -> dict[str, Any]:
    return {"version": 2, "base": "UNet2DConditionModel", "steps": [step], **others}


MALFORMED: dict[str, Any] = {
    "no mapping": [],
    "empty": {},
    "false": False,
    "a text": "structure",
    "no steps": {"version": 2, "base": "UNet2DConditionModel"},
    "no base": {"version": 2, "steps": []},
    "steps in a mapping": structure({}, steps={"0": {}}),
    "version true": structure({}, version=True),
    "version 2.0": structure({}, version=2.0),
    'version "2"': structure({}, version="2"),
    "version 1 with steps": structure({}, version=1),
    "version 3": structure({}, version=3),
    "version nothing": structure({}, version=None),
    "an unknown key": structure({}, code="import os"),
    "another class": structure({}, base="UNet2DModel"),
    "no class": structure({}, base="DiffusionPipeline"),
    "a function": structure({}, base="logging"),
    "a base that is a list": structure({}, base=["UNet2DConditionModel"]),
    "a step that is a list": structure([LINEAR]),
    "a step that is a text": structure(LINEAR),
    "an entry that is a number": structure({LINEAR: 3}),
    "an entry that is a list": structure({LINEAR: [["out_features", 3]]}),
    "an unknown path": structure({"down_blocks.9": {"becomes": "input"}}),
    "the model itself": structure({"": {"becomes": "input"}}),
    "a path upwards": structure({"../unet": {"becomes": "input"}}),
    "a path with dots": structure({f"{RESNET}..conv1": {"out_channels": 3}}),
    "a dunder path": structure({"conv_in.__class__": {"becomes": "input"}}),
    "a path to an attribute": structure({"conv_in.weight": {"becomes": "input"}}),
    "a path to a config": structure({"config": {"becomes": "input"}}),
    "a path inside of what goes": structure({RESNET: {"becomes": "input"}, NORM: {"becomes": "input"}}),
    "a negative width": structure({LINEAR: {"out_features": -4}}),
    "a width of zero": structure({CONVOLUTION: {"out_channels": 0}}),
    "a norm of nothing": structure({NORM: {"num_channels": 0}}),
    "no groups": structure({NORM: {"num_groups": 0}}),
    "no heads": structure({ATTENTION: {"heads": 0}}),
    "a width of half a channel": structure({LINEAR: {"out_features": 7.5}}),
    "a width of 8.0": structure({LINEAR: {"out_features": 8.0}}),
    "a width that is true": structure({LINEAR: {"out_features": True}}),
    "a width in letters": structure({LINEAR: {"out_features": "8"}}),
    "a width in a list": structure({LINEAR: {"out_features": [8]}}),
    "no width": structure({LINEAR: {"out_features": None}}),
    "a wider layer": structure({LINEAR: {"out_features": 10**6}}),
    "twenty digits": structure({LINEAR: {"out_features": 10**20}}),
    "more heads": structure({ATTENTION: {"heads": 1000}}),
    "heads that do not divide": structure({ATTENTION: {"heads": 3}}),
    "queries alone": structure({LINEAR: {"out_features": 8}}),
    "groups that do not divide": structure({NORM: {"num_groups": 3}}),
    "channels that groups do not divide": structure({NORM: {"num_channels": 31}}),
    "__class__": structure({LINEAR: {"__class__": 3}}),
    "forward": structure({LINEAR: {"forward": 3}}),
    "training": structure({LINEAR: {"training": 1}}),
    "_parameters": structure({LINEAR: {"_parameters": 1}}),
    "a width of another layer": structure({LINEAR: {"out_channels": 1}}),
    "an attribute that counts nothing": structure({ATTENTION: {"scale": 1}}),
    "an unknown fate": structure({RESNET: {"becomes": "anything"}}),
    "a fate that is a list": structure({RESNET: {"becomes": ["input"]}}),
    "a fate that is null": structure({RESNET: {"becomes": None}}),
    "a fate and a width": structure({LINEAR: {"becomes": "input", "out_features": 3}}),
    "a shortcut that is not there": structure({RESNET: {"becomes": "shortcut"}}),
    "a bias of a convolution": structure({CONVOLUTION: {"becomes": "bias"}}),
    "a bypass of a Linear": structure({LINEAR: {"becomes": "bypass"}}),
    "scattered channels": structure({CONVOLUTION: {"becomes": "scattered", "out_features": 3}}),
    "scattered without a width": structure({LINEAR: {"becomes": "scattered"}}),
    "scattered wider": structure({LINEAR: {"becomes": "scattered", "out_features": 10**6}}),
    "a bias from nowhere": structure({ATTENTION: {"becomes": "bias"}}),
    "a bias of no Linear": structure({ATTENTION: {"becomes": "bias", "biases": ["to_out"]}}),
    "a bias twice": structure({ATTENTION: {"becomes": "bias", "biases": ["to_q", "to_q"]}}),
    "biases in a text": structure({ATTENTION: {"becomes": "bias", "biases": "to_q"}}),
    "a rescaling by nothing": structure({ATTENTION: {**BIAS, "rescale": 0}}),
    "a rescaling by no number": structure({ATTENTION: {**BIAS, "rescale": float("nan")}}),
    "a flag that is a number": structure({ATTENTION: {**BIAS, "residual": 1}}),
    "a hundred values": structure({ATTENTION: {"becomes": "input", "returns": 100}}),
    "an unknown argument": structure({ATTENTION: {"becomes": "nothing", "streams": ["temb", "else"]}}),
    "streams in a text": structure({ATTENTION: {"becomes": "nothing", "streams": "temb"}}),
    "more streams than values": structure({
        ATTENTION: {"becomes": "nothing", "returns": 1, "streams": ["temb", "hidden_states"]}
    }),
    "more biases than streams": structure({
        ATTENTION: {**BIAS, "biases": ["to_q", "to_k"], "streams": ["hidden_states"]}
    }),
    "a norm with other weights": structure({NORM: {"weights": 16}}),
    "grouped channels": structure({CONVOLUTION: {"groups": 2}}),
    "a width from nowhere": structure({ATTENTION: {"becomes": "nothing", "width": 10**6}}),
    "a wider second step": structure({}, steps=[
        {NORM: {"num_channels": 16, "num_groups": 4}}, {NORM: {"num_channels": 32}}
    ]),
    "what went already": structure({}, steps=[{RESNET: {"becomes": "input"}}, {NORM: {"num_channels": 8}}]),
    "a structure in a structure": structure({LINEAR: {"out_features": structure({})}}),
    "lines of text": structure({"a\nb\nc": {"becomes": "input"}}),
    "a long text": structure({"a" * 10000: {"becomes": "input"}}),
}  # fmt: skip


def describe(component: Path, content: Any) -> None:
    config = component / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "structure": content}))


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_structures_are_refused(name: str, component: Path) -> None:
    """In one line by the class, as plain diffusers uses it, and by prunelab, which names the component."""
    describe(component, MALFORMED[name])
    kind = portable.PrunedUNet2DConditionModel
    with pytest.raises(ValueError, match="the structure ") as raised:
        kind.from_pretrained(component)
    with pytest.raises(Refusal, match="unet") as refused:
        open_component(component, kind)
    for error in (raised, refused):
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "name",
    [
        "no mapping",
        "empty",
        "version true",
        "no class",
        "a function",
        "a base that is a list",
        "a dunder path",
    ],
)
def test_folders_with_malformed_structures_are_refused(name: str, saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    describe(folder / "unet", MALFORMED[name])
    with pytest.raises(Refusal, match="unet") as error:
        prunelab.load_pruned(folder)
    assert "\n" not in str(error.value)


def test_nothing_is_changed_by_a_structure_that_is_refused(skeleton: nn.Module) -> None:
    before = str(skeleton)
    for name, content in MALFORMED.items():
        if name not in ("a wider second step", "what went already"):  # the first step is one
            with pytest.raises(ValueError, match="structure"):
                _checked(skeleton, content)
    assert str(skeleton) == before


def _checked(model: nn.Module, content: Any) -> nn.Module:
    check_form(content, "UNet2DConditionModel")
    return apply_structure(model, content)


NUMBERS = st.one_of(
    st.integers(-1, 70), st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.none()
)
NAMES = st.one_of(
    st.sampled_from([*COUNTS, *(name for names in WIDTHS.values() for name in names), "weight", "__dict__"]),
    st.text(max_size=3),
)
BIASES = st.one_of(st.just(["to_out.0"]), st.just(["hidden_states"]), st.lists(NAMES, max_size=2))
FATES = st.sampled_from(["input", "nothing", "shortcut", "bypass", "bias", "scattered", "else", 3])
ENTRIES = st.one_of(
    st.dictionaries(NAMES, NUMBERS, max_size=2),
    st.fixed_dictionaries(
        {"becomes": FATES},
        optional={"out_features": NUMBERS, "residual": NUMBERS, "biases": BIASES, "streams": BIASES},
    ),
    NUMBERS,
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_structure_is_followed_or_refused(data: st.DataObject, skeleton: nn.Module) -> None:
    """What is followed makes no layer larger, gives no module a new attribute and nothing a new kind."""
    paths = st.sampled_from([path for path, _ in skeleton.named_modules()])
    content = structure(
        data.draw(st.dictionaries(st.one_of(paths, st.text(max_size=4)), ENTRIES, max_size=3))
    )
    changed = copy.deepcopy(skeleton)
    try:
        _checked(changed, content)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017  that it is raised is not what is tested
        return
    dense = dict(skeleton.named_modules())
    for path, module in changed.named_modules():
        if "becomes" in content["steps"][0].get(path, {}):
            assert isinstance(module, Skip | Scattered)
        elif path in dense:
            assert type(module) is type(dense[path])
            assert vars(module).keys() == vars(dense[path]).keys()
            own = dict(module.named_parameters(recurse=False))
            assert all(p.numel() <= dense[path].get_parameter(name).numel() for name, p in own.items())


@pytest.mark.parametrize(
    ("file", "edit", "told"),
    [
        (
            "model_index.json",
            lambda index: index.update(unet=["pruned_model", "PrunedUNet2DModel"]),
            "have to agree",
        ),
        ("model_index.json", lambda index: index.update(unet=["diffusers", "UNet2DModel"]), "have to agree"),
        ("unet/config.json", lambda config: config.pop("structure"), "has no structure"),
    ],
)
def test_the_folder_agrees_with_itself(
    file: str, edit: Callable[[dict[str, Any]], Any], told: str, saved: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    content = json.loads((folder / file).read_text())
    edit(content)
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(Refusal, match=told):
        prunelab.load_pruned(folder)


def test_prunelab_runs_no_code_of_a_folder(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    ran = tmp_path / "ran"
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        for name in ("pruned_model", "pruned_layers", "pruned_structure", "unet", "torch", "json"):
            (place / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(folder)
    prunelab.load_pruned(folder)
    PipelineModel.open("pruned", str(folder))
    assert not ran.exists()


def test_what_travels_imports_nothing_else() -> None:
    """Only the standard library, torch, diffusers and transformers, and each other."""
    import ast

    from prunelab.surgery import pruned_layers, pruned_structure

    allowed = {
        "inspect",
        "math",
        "shutil",
        "collections",
        "pathlib",
        "typing",
        "torch",
        "diffusers",
        "transformers",
    }
    for module in (portable, pruned_layers, pruned_structure):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        named = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        from_ = {
            (node.module or "", node.level) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        }
        assert {name.partition(".")[0] for name in named} <= allowed
        assert {name.partition(".")[0] for name, level in from_ if not level} <= allowed
        assert {name for name, level in from_ if level} <= {"pruned_layers", "pruned_structure"}
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not called & {"eval", "exec", "compile", "__import__", "open", "torch.load"}
