"""Teaching the judge to name what a picture shows."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.core.draws import generator, visits


class Naming:
    """Cross entropy of every label, summed; pictures are shifted by a few pixels to make more of them.

    judge: called on uint8 images, returns features and logits per label.
    images: uint8, (n, channels, height, width). labels: label -> class numbers, int64 (n,).
    """

    SHIFT = 2  # pixels, the largest in either direction
    PURPOSE = "judge"  # of the order in which media are seen

    def __init__(self, judge: nn.Module, images: Tensor, labels: Mapping[str, Tensor], seed: int) -> None:
        self.trained, self.images, self.labels, self.seed = judge, images, labels, seed

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Images, already shifted, and their class numbers."""
        items = visits(draws, len(self.images), self.seed, self.PURPOSE)
        images = self.images[items]
        if self.SHIFT:
            images = torch.stack([self._shifted(one, draw) for one, draw in zip(images, draws, strict=True)])
        return {"images": images} | {label: numbers[items] for label, numbers in self.labels.items()}

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss and the accuracy of each label."""
        _, logits = self.trained(batch["images"])
        losses = [F.cross_entropy(logits[label], batch[label]) for label in self.labels]
        hits = {label: (logits[label].argmax(1) == batch[label]).float() for label in self.labels}
        accuracies = {f"{label}_accuracy": hit.mean() for label, hit in hits.items()}
        return {"loss": torch.stack(losses).sum(), **accuracies}

    def _shifted(self, image: Tensor, draw: int) -> Tensor:
        """The image moved by a whole number of pixels; the border repeats."""
        s = self.SHIFT
        source = generator(self.seed, draw, "judge shift")
        down, right = torch.randint(2 * s + 1, (2,), generator=source).tolist()
        padded = F.pad(image[None].float(), (s, s, s, s), mode="replicate")[0].to(torch.uint8)
        return padded[:, down : down + image.shape[1], right : right + image.shape[2]]
