"""The network that looks at pictures: shapes, and the same answers after saving and loading."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from prunelab.core.digests import digest
from prunelab.core.errors import Refusal
from prunelab.judges.classifier import Judge

LABELS = {"shape": ["round", "square"], "colour": ["red", "green", "blue"]}


def images(n: int) -> torch.Tensor:
    return torch.randint(256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def judge() -> Judge:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Judge(LABELS, widths=[8, 16], features=12).eval()


def test_features_and_one_head_per_label() -> None:
    features, logits = judge()(images(5))
    assert features.shape == (5, 12)
    assert features.dtype == torch.float32
    assert {label: tuple(logit.shape) for label, logit in logits.items()} == {
        "shape": (5, 2),
        "colour": (5, 3),
    }
    weight, bias = judge().heads["colour"].weight, judge().heads["colour"].bias
    torch.testing.assert_close(logits["colour"], features @ weight.T + bias)


def test_a_picture_is_judged_alone() -> None:
    together = judge()(images(4))[0]
    alone = torch.cat([judge()(image[None])[0] for image in images(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_saved_is_loaded(tmp_path: Path) -> None:
    made = judge()
    made.save(tmp_path)
    loaded = Judge.load(tmp_path)
    assert loaded.labels == {label: tuple(names) for label, names in LABELS.items()}
    assert not loaded.training
    assert all(not p.requires_grad for p in loaded.parameters())
    for name, weight in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.half().float())
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    loaded.save(tmp_path / "again")
    again = Judge.load(tmp_path / "again")
    assert torch.equal(again(images(3))[0], loaded(images(3))[0])


def test_half_precision_weights_hardly_matter(tmp_path: Path) -> None:
    judge().save(tmp_path)
    torch.testing.assert_close(
        Judge.load(tmp_path)(images(3))[0], judge()(images(3))[0], rtol=0.02, atol=0.01
    )


def test_no_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no judge in "):
        Judge.load(tmp_path)


def test_a_truncated_judge_is_refused(tmp_path: Path) -> None:
    judge().save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(Refusal, match="is broken"):
        Judge.load(tmp_path)


def test_the_config_is_readable(tmp_path: Path) -> None:
    judge().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"labels": LABELS, "widths": [8, 16], "features": 12, "channels": 3}


def test_grey_pictures_and_folders_that_say_nothing_of_channels(tmp_path: Path) -> None:
    grey = Judge(LABELS, widths=[8, 16], features=12, channels=1).eval()
    grey.save(tmp_path / "grey")
    assert Judge.load(tmp_path / "grey")(images(2)[:, :1, :16, :16])[0].shape == (2, 12)
    judge().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["channels"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Judge.load(tmp_path).channels == 3


@pytest.mark.parametrize(
    "change",
    [
        {"widths": "many"},
        {"widths": [8, -16]},
        {"widths": [9, 16]},
        {"widths": []},
        {"widths": [8, 2**40]},
        {"features": 0},
        {"features": 13},
        {"features": "12"},
        {"channels": 1},
        {"labels": ["shape"]},
        {"labels": {"shape.of": ["a"]}},
        {"labels": {"shape": ["round", "square", "odd"], "colour": ["red"]}},
        {"unknown": 1},
        None,
    ],
)
def test_another_config_is_one_line(tmp_path: Path, change: dict[str, object] | None) -> None:
    judge().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text("[]" if change is None else json.dumps(config | change))
    with pytest.raises(Refusal, match="broken, or of a judge of another kind") as refusal:
        Judge.load(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_judge_behind_links_is_the_same(tmp_path: Path) -> None:
    """As hubs keep files: what lies behind a link is what identifies the judge."""
    judge().save(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "snapshot" / name).symlink_to(f"../blobs/{name}")
    first = digest(Judge.load(tmp_path / "snapshot").state_dict())
    assert first == digest(Judge.load(tmp_path / "blobs").state_dict())
    other = judge()
    other.embed.bias.data.add_(1)
    other.save(tmp_path / "blobs")
    assert digest(Judge.load(tmp_path / "snapshot").state_dict()) != first
