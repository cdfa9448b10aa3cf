"""The network that looks at small pictures for the metrics: what they show, and features to compare."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from prunelab.core.errors import Refusal

CONFIG, WEIGHTS = "config.json", "model.safetensors"
GROUPS = 8  # of every normalisation
MOST = 2**20  # of anything that is counted


class Judge(nn.Module):
    """A convolutional classifier with one linear head per label over shared features.

    labels: label -> names of its classes, in the order of the logits. widths: channels per level; every level
    but the last halves the height and width of the pictures. features: length of the feature vector.
    channels: of the pictures.
    """

    def __init__(
        self,
        labels: Mapping[str, Sequence[str]],
        widths: Sequence[int] = (16, 32, 64),
        features: int = 128,
        channels: int = 3,
    ) -> None:
        super().__init__()
        check_counts(features=features, channels=channels, **{f"width {i}": w for i, w in enumerate(widths)})
        self.labels = {label: tuple(names) for label, names in labels.items()}
        self.widths, self.size, self.channels = tuple(widths), features, channels
        levels = [_level(a, b) for a, b in zip((channels, *self.widths[:-1]), self.widths, strict=True)]
        halved = [part for level in levels for part in (nn.MaxPool2d(2), level)][1:]
        self.trunk = nn.Sequential(*halved, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.embed = nn.Linear(16 * self.widths[-1], features)
        self.heads = nn.ModuleDict(
            {label: nn.Linear(features, len(names)) for label, names in self.labels.items()}
        )

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (n, features) and logits (n, classes) per label, of uint8 images (n, channels, h, w)."""
        features = self.embed(self.trunk(images.to(self.embed.weight.dtype) / 127.5 - 1))
        return features, {label: head(features) for label, head in self.heads.items()}

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        kept = {"widths": self.widths, "features": self.size, "channels": self.channels}
        return {"labels": self.labels, **kept}

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and the weights, rounded to half precision, into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(json.dumps(self.config(), indent=2) + "\n")
        weights = {name: tensor.half().contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The judge that ``save`` wrote, in float32 and eval mode; Refusal when it is missing or broken."""
        if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
            raise Refusal(f"no judge in {folder}: {CONFIG} and {WEIGHTS} are expected there")
        try:
            with torch.device("meta"):
                judge = cls(**json.loads((folder / CONFIG).read_text("utf-8")))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
            raise _broken(folder / CONFIG, error) from error
        try:
            weights = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
            judge.load_state_dict(weights, strict=True, assign=True)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise _broken(folder / WEIGHTS, error) from error
        return judge.eval().requires_grad_(False)


def _broken(file: Path, error: Exception) -> Refusal:
    reason = " ".join(str(error).split())[:200]
    return Refusal(f"{file} is broken, or of a judge of another kind ({reason}): make it again")


def check_counts(**counts: Any) -> None:
    """Raise ValueError for what is no positive number of things, or more of them than any judge has."""
    for name, count in counts.items():
        if not isinstance(count, int) or not 1 <= count <= MOST:
            raise ValueError(f"{name} is {count!r}, not a number from 1 to {MOST}")


def _level(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions at one resolution."""
    parts: list[nn.Module] = []
    for before in (inputs, outputs):
        parts += [nn.Conv2d(before, outputs, 3, padding=1), nn.GroupNorm(GROUPS, outputs), nn.SiLU()]
    return nn.Sequential(*parts)
