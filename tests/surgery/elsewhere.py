"""What plain diffusers does with pruned folders, in an environment without prunelab: run by a test.

``python elsewhere.py PLACE``: PLACE/asked.json says which folders to open and how to call them; what came out
is written to PLACE/made.safetensors and PLACE/found.json.
"""

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import AutoModel, DiffusionPipeline
from diffusers.utils import hub_utils
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def opened(folder: Path, **options: Any) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def owned(pipeline: Any) -> Any:
    """Its weights in memory of their own: where they lie in a file decides their last bits."""
    for part in pipeline.components.values():
        for parameter in part.parameters() if isinstance(part, nn.Module) else ():
            parameter.data = parameter.data.clone()
    return pipeline


def drawn(pipeline: Any, call: dict[str, Any]) -> Tensor:
    return torch.as_tensor(pipeline(generator=torch.Generator().manual_seed(0), **call)[0]).contiguous()


def same(one: nn.Module, two: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def uploaded(pipeline: Any, place: Path) -> list[str]:
    """The files that ``push_to_hub`` would send."""
    sent: list[str] = []

    def send(folder_path: str, **_: Any) -> None:
        sent.extend(path.relative_to(folder_path).as_posix() for path in Path(folder_path).rglob("*.*"))

    with (
        mock.patch.object(hub_utils, "create_repo", lambda name, **_: mock.Mock(repo_id=name)),
        mock.patch.object(hub_utils, "upload_folder", send),
        mock.patch.object(ModelCard, "load", side_effect=EntryNotFoundError("none", mock.Mock())),
    ):
        pipeline.push_to_hub("somebody/pruned")
    return sorted(sent)


def adapted(denoiser: Any, modules: list[str]) -> dict[str, Tensor]:
    """The weights of an adapter of those modules, which is added to ``denoiser``."""
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=modules))
    for name, parameter in denoiser.named_parameters():
        if "lora_B" in name:
            nn.init.ones_(parameter)
    weights: dict[str, Tensor] = get_peft_model_state_dict(denoiser)
    return weights


def refused(pipeline: Any, adapter: Path) -> str:
    """What loading raises; nothing where it does not."""
    try:
        pipeline.load_lora_weights(adapter)
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def shared(folder: Path, attribute: str, call: dict[str, Any], place: Path, dense: Path) -> dict[str, Any]:
    """Adapters in files: one of the pruned model itself, and one of the dense model; and offloading."""
    pipeline = opened(folder)
    before = drawn(pipeline, call)
    saved = {}
    for name, model, modules in (
        ("own", folder, ["to_q", "to_v", "to_out.0"]),
        ("dense", dense, ["to_out.0", "proj_out"]),
    ):
        other = opened(model)
        layers = {f"{attribute}_lora_layers": adapted(getattr(other, attribute), modules)}
        saved[name] = place / f"{attribute} {name}"
        other.save_lora_weights(saved[name], **layers)
        if name == "own":
            after = drawn(other, call)
    pipeline.load_lora_weights(saved["own"])
    found: dict[str, Any] = {"loaded": torch.equal(drawn(pipeline, call), after)}
    pipeline.set_adapters("default_0", 0.5)
    half = drawn(pipeline, call)
    found["scaled"] = not torch.equal(half, after) and not torch.equal(half, before)
    pipeline.unload_lora_weights()
    found["unloaded"] = torch.equal(drawn(pipeline, call), before)
    found["refused"] = refused(pipeline, saved["dense"])
    found["kept"] = torch.equal(drawn(pipeline, call), before)
    pipeline = opened(folder)
    pipeline.enable_model_cpu_offload(device="cpu")
    return {**found, "offloaded": torch.equal(drawn(pipeline, call), before)}


def used(folder: Path, attribute: str, call: dict[str, Any], place: Path) -> dict[str, Any]:
    """What one does with an opened model beside sampling from it."""
    pipeline = opened(folder)
    denoiser, before = getattr(pipeline, attribute), drawn(pipeline, call)
    alone = AutoModel.from_pretrained(str(folder / attribute), trust_remote_code=True)
    found = {"alone": same(denoiser, alone), "uploaded": uploaded(pipeline, place)}
    half = drawn(opened(folder, dtype=torch.bfloat16), call)
    found["half"] = float((half - before).abs().mean())
    setattr(pipeline, attribute, torch.compile(denoiser, backend="eager"))
    found["compiled"] = torch.equal(drawn(pipeline, call), before)
    setattr(pipeline, attribute, denoiser)
    denoiser.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v", "to_out.0"]))
    found["adapted"] = torch.equal(drawn(pipeline, call), before)  # it starts from zero
    for name, parameter in denoiser.named_parameters():
        if "lora_B" in name:
            nn.init.ones_(parameter)
    found["moved"] = not torch.equal(drawn(pipeline, call), before)
    denoiser.delete_adapters("default")
    return {**found, "restored": torch.equal(drawn(pipeline, call), before)}


def tensor(each: dict[str, Any], given: dict[str, Tensor]) -> Any:
    """An object of asked.json, or the tensor whose name it says."""
    return given[each["tensor"]] if each.keys() == {"tensor"} else each


@torch.no_grad()
def main(place: Path) -> None:
    given = load_file(place / "given.safetensors")
    asked = json.loads((place / "asked.json").read_text(), object_hook=lambda each: tensor(each, given))
    made: dict[str, Tensor] = {}
    found: dict[str, Any] = {"prunelab": find_spec("prunelab") is not None}
    for name, (folder, call) in asked["families"].items():
        as_used = owned if asked["owned"] else lambda pipeline: pipeline
        pipeline = as_used(opened(Path(folder)))
        made[name] = drawn(pipeline, call)
        with tempfile.TemporaryDirectory(dir=place) as again:
            pipeline.save_pretrained(again)
            made[f"{name} again"] = drawn(as_used(opened(Path(again))), call)
    for name, (attribute, dense) in asked["used"].items():
        folder, call = asked["families"][name]
        found[name] = used(Path(folder), attribute, call, place)
        found[name] |= shared(Path(folder), attribute, call, place, Path(dense))
    save_file(made, place / "made.safetensors")
    (place / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
