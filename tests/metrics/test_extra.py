"""What needs the optional extra says so where it is missing, and calls it as it wants to be called where not.

The packages themselves cannot be installed beside the torch of these tests: stand-ins show what they are
given, not that their numbers are right.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.extra import extra
from prunelab.core.samples import Reference, Samples
from prunelab.judges.inception import Inception
from prunelab.metrics.perceptual import PerceptualDistance

FIDELITY = "torch_fidelity.feature_extractor_inceptionv3"


@pytest.mark.parametrize(
    ("module", "make"), [("torch_fidelity", Inception.load), ("torchvision", PerceptualDistance)]
)
def test_a_missing_extra_is_one_line(module: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Refusal, match=r"pip install prunelab\[metrics\]") as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_a_package_for_another_torch_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_for_another_torch.py").write_text(
        "raise RuntimeError('operator nms\\ndoes not exist')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Refusal, match=r"operator nms does not exist.*belongs to the torch installed"):
        extra("made_for_another_torch", "this")


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    """A module that can be imported until the test ends."""
    parent, _, _ = name.partition(".")
    module = ModuleType(name)
    for key, value in content.items():
        setattr(module, key, value)
    if parent != name and parent not in sys.modules:
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, name, module)


def test_inception_is_given_whole_numbers_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Extractor(nn.Module):
        def __init__(self, name: str, layers: list[str], feature_extractor_weights_path: str) -> None:
            super().__init__()
            asked.extend([name, layers, feature_extractor_weights_path])
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, images: Tensor) -> tuple[Tensor]:
            assert images.dtype == torch.uint8
            assert len(images) <= 64
            return (images.double().mean(dim=(2, 3)) * self.weight,)

    stand_in(monkeypatch, FIDELITY, FeatureExtractorInceptionV3=Extractor)
    judge = Inception.load("weights.pth")
    assert asked == ["inception-v3-compat", ["2048"], "weights.pth"]
    images = torch.randint(0, 256, (70, 3, 4, 4), dtype=torch.uint8)
    features, logits = judge(images)
    assert logits == {}
    torch.testing.assert_close(features, images.double().mean(dim=(2, 3)))
    assert list(judge.state_dict()) == ["extractor.weight"]


def test_missing_inception_weights_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def extractor(*arguments: Any, **options: Any) -> None:
        raise FileNotFoundError("no such file")

    stand_in(monkeypatch, FIDELITY, FeatureExtractorInceptionV3=extractor)
    with pytest.raises(
        Refusal, match=r"no Inception weights in weights.pth \(no such file\): judge.path=FILE"
    ):
        Inception.load("weights.pth")


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_a_wrong_file_of_inception_weights_is_one_line(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extractor(name: str, layers: list[str], feature_extractor_weights_path: str) -> Any:
        return torch.load(feature_extractor_weights_path, weights_only=True)

    (tmp_path / "wrong.pth").write_bytes(content)
    stand_in(monkeypatch, FIDELITY, FeatureExtractorInceptionV3=extractor)
    with pytest.raises(Refusal, match=r"no Inception weights in .*wrong.pth .*judge.path=FILE") as refusal:
        Inception.load(str(tmp_path / "wrong.pth"))
    assert "\n" not in str(refusal.value)


class Difference:
    """In the place of LPIPS: the mean difference of what it was given since the last reset."""

    def __init__(self, net_type: str, normalize: bool) -> None:
        assert (net_type, normalize) == ("vgg", True)
        self.values: list[Tensor] = []

    def reset(self) -> None:
        self.values.clear()

    def update(self, one: Tensor, other: Tensor) -> None:
        assert one.shape[:2] == (1, 3)
        assert one.max() <= 1
        self.values.append((one - other).abs().mean())

    def compute(self) -> Tensor:
        return torch.stack(self.values).mean()


def test_lpips_compares_pairs(
    monkeypatch: pytest.MonkeyPatch, pruned: Samples, dense: Samples, reference: Reference
) -> None:
    stand_in(monkeypatch, "torchvision")
    stand_in(monkeypatch, "torchmetrics.image.lpip", LearnedPerceptualImagePatchSimilarity=Difference)
    estimate = PerceptualDistance(net="vgg")(pruned, reference)
    expected = (pruned.media.double() - dense.media.double()).abs().mean() / 255
    assert estimate.value == pytest.approx(float(expected), rel=1e-5)
    assert estimate.n == pruned.media.shape[1]
    assert PerceptualDistance(net="vgg")(dense, reference).value == 0
