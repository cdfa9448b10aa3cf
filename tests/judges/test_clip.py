"""CLIP's features and score against plain calls of a tiny random CLIP, opened from a folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTextModel, CLIPTokenizer

from prunelab.core.digests import digest
from prunelab.core.errors import Refusal
from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.judges.clip import Clip
from prunelab.metrics.clip_score import ClipScore

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
LETTERS = [chr(i) for i in range(ord("a"), ord("z") + 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with its tokenizer and processor, of random weights."""
    place = tmp_path_factory.mktemp("clip")
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"))
    tokenizer.save_pretrained(place)
    text = {**SMALL, "vocab_size": len(words), "max_position_embeddings": 12}
    text |= {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    vision = {**SMALL, "image_size": 12, "patch_size": 4}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(config)
        for parameter in model.parameters():  # the initial ones are so small that all images look alike
            parameter.data.normal_(std=0.3)
    model.save_pretrained(place)
    size = {"size": {"shortest_edge": 12}, "crop_size": {"height": 12, "width": 12}}
    CLIPImageProcessorPil(**size).save_pretrained(place)
    return place


def images(count: int, channels: int = 3) -> torch.Tensor:
    random = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, channels, 12, 12), generator=random, dtype=torch.uint8)


def embedded(folder: Path, media: torch.Tensor) -> torch.Tensor:
    """One image at a time, normalised by hand: at the network's own size there is nothing to resize."""
    model = CLIPModel.from_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    mean, std = (torch.tensor(settings[f"image_{name}"])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        outputs = [model.vision_model(((one / 255 - mean) / std)[None]).pooler_output for one in media]
        return torch.cat([model.visual_projection(output) for output in outputs])


def test_features(folder: Path) -> None:
    judge = Clip.load(str(folder))
    media = images(70)  # more than one batch
    features, logits = judge(media)
    assert logits == {}
    torch.testing.assert_close(features, embedded(folder, media), rtol=1e-4, atol=1e-5)
    assert features.std(dim=0).min() > 1e-3, "images differ"
    grey = images(3, channels=1)
    torch.testing.assert_close(judge(grey)[0], judge(grey.expand(-1, 3, -1, -1))[0])


def test_pictures_of_another_size_are_resized_as_pil_does(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    small = np.array(Image.fromarray(pixels).resize((12, 12), Image.Resampling.BICUBIC))
    features, _ = Clip.load(str(folder))(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])
    expected = embedded(folder, torch.from_numpy(small.transpose(2, 0, 1).copy())[None])
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_the_preprocessing_is_part_of_what_identifies_the_judge(folder: Path) -> None:
    judge = Clip.load(str(folder))
    model = CLIPModel.from_pretrained(folder)
    other = Clip(model, CLIPImageProcessorPil(size={"shortest_edge": 13}))
    states = [judge.state_dict(), Clip.load(str(folder)).state_dict(), other.state_dict()]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert [name for name in states[0] if not torch.equal(states[0][name], states[2][name])] == ["prepared"]


def samples(media: torch.Tensor) -> Samples:
    return Samples(media, torch.zeros(*media.shape[:2], 1), {}, {}, torch.zeros(0))


def test_the_score_is_a_mean_cosine(folder: Path) -> None:
    prompts = ["a red house", "zz", "abcdefghijklmnopqrstuvwxyz is cut"]
    media = images(6).unflatten(0, (2, 3))
    reference = Reference(torch.zeros(0, 1), {}, {}, samples(media), prompts)
    estimate = ClipScore.load(str(folder))(samples(media), reference)
    model, tokenizer = CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    cosines = []
    for prompt, pair in zip(prompts, media.unbind(1), strict=True):
        tokens = tokenizer(prompt, truncation=True, max_length=12, return_tensors="pt")
        with torch.no_grad():
            text = model.text_projection(model.text_model(**tokens).pooler_output)[0]
        found = embedded(folder, pair)
        cosines += [float((text @ image) / (text.norm() * image.norm())) for image in found]
    assert min(cosines) < 0 < max(cosines), "both signs are tried"
    assert estimate.value == pytest.approx(100 * np.maximum(cosines, 0).mean(), rel=1e-4)
    assert estimate.n == 3, "prompts"


@pytest.mark.parametrize("prompts", [(), ["", "", ""]])
def test_no_prompts_no_score(folder: Path, prompts: list[str]) -> None:
    media = samples(images(3)[None])
    reference = Reference(torch.zeros(0, 1), {}, {}, media, prompts)
    assert ClipScore.load(str(folder))(media, reference) == UNDEFINED


def test_the_weights_identify_the_score(folder: Path) -> None:
    metric = ClipScore.load(str(folder))
    before = metric.fingerprint()
    assert ClipScore.load(str(folder)).fingerprint() == before
    metric.model.logit_scale.add_(1)
    assert metric.fingerprint() != before


@pytest.mark.parametrize("kind", [Clip, ClipScore])
def test_missing_weights_are_one_line(kind: Any, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no CLIP\w+ in not/there .*path=FOLDER") as refusal:
        kind.load("not/there")
    assert "\n" not in str(refusal.value)
    text_alone = CLIPTextModel(CLIPConfig.from_pretrained(folder).text_config)
    text_alone.save_pretrained(tmp_path)
    with pytest.raises(Refusal, match=r"has no weights for .* of CLIPModel"):
        kind.load(str(tmp_path))


def test_real_data_are_not_needed(folder: Path) -> None:
    media = images(4)[None]
    reference = Reference(torch.zeros(0, 1), {}, {}, samples(media), ["a"] * 4)
    first = ClipScore.load(str(folder))(samples(media), reference)
    assert ClipScore.load(str(folder))(samples(media), replace(reference, real=torch.ones(5, 1))) == first


def linked(folder: Path, place: Path) -> Path:
    """As hubs keep a model: every file is a link to another folder."""
    shutil.copytree(folder, place / "blobs")
    (place / "snapshot").mkdir()
    for file in folder.iterdir():
        (place / "snapshot" / file.name).symlink_to(f"../blobs/{file.name}")
    return place / "snapshot"


def rewrite(file: Path, **settings: Any) -> None:
    """Write through a link what a file says otherwise."""
    content = json.loads(file.read_text())
    for name, value in settings.items():
        place, _, last = name.rpartition("__")
        (content[place] if place else content)[last] = value
    file.write_text(json.dumps(content))


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("config.json", {"vision_config__hidden_act": "gelu"}),
    ("config.json", {"vision_config__layer_norm_eps": 0.1}),
    ("preprocessor_config.json", {"image_mean": [0.1, 0.2, 0.3]}),
    ("tokenizer_config.json", {"pad_token": "a</w>"}),
]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_all_that_decides_identifies(folder: Path, tmp_path: Path, name: str, change: dict[str, Any]) -> None:
    """Not the weights alone; and not the place, or that files are links."""
    place = linked(folder, tmp_path)
    states = [digest(Clip.load(str(each)).state_dict()) for each in (folder, place)]
    scores = [ClipScore.load(str(each)).fingerprint() for each in (folder, place)]
    assert states[0] == states[1]
    assert scores[0] == scores[1]
    rewrite(place / name, **change)
    assert ClipScore.load(str(place)).fingerprint() != scores[0]
    if name != "tokenizer_config.json":
        assert digest(Clip.load(str(place)).state_dict()) != states[0]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", {"vision_config__hidden_size": "x"}),
        ("config.json", {"vision_config__hidden_size": 17}),
        ("config.json", {"vision_config__num_attention_heads": 0}),
        ("config.json", {"vision_config__patch_size": 0}),
        ("config.json", {"projection_dim": 9}),
        ("config.json", {"dtype": "none"}),
        ("config.json", None),
        ("preprocessor_config.json", None),
        ("tokenizer.json", None),
        ("tokenizer_config.json", None),
        ("model.safetensors", None),
    ],
)
def test_another_folder_is_one_line(
    folder: Path, tmp_path: Path, name: str, change: dict[str, Any] | None
) -> None:
    place = shutil.copytree(folder, tmp_path / "other")
    (place / name).write_text("[1]") if change is None else rewrite(place / name, **change)
    with pytest.raises(Refusal, match=r"no CLIP|no AutoTokenizer") as refusal:
        ClipScore.load(str(place))
    assert "\n" not in str(refusal.value)
