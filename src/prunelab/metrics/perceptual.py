"""How far a picture looks from the dense model's."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.estimates import Estimate
from prunelab.core.extra import extra
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import bootstrap


@settings
class PerceptualDistance:
    """LPIPS to the dense model's image, Zhang et al. (2018), on torchmetrics; lower is closer, 0 for equal.

    net: alex, vgg or squeeze. Its ImageNet weights are torchvision's.
    """

    net: Literal["alex", "vgg", "squeeze"] = "alex"
    name: Text = "lpips"

    quantity: ClassVar[Quantity] = Quantity(
        "LPIPS to dense", "lower", "perceptual distance to the dense model's images, same seeds"
    )

    def __post_init__(self) -> None:
        """Refuse, before anything runs, what cannot be measured here."""
        self._network()

    @torch.no_grad()
    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over images."""
        network = self._network()
        pairs = zip(_images(generated), _images(reference.dense), strict=True)
        distances = torch.stack([_distance(network, ours, dense) for ours, dense in pairs])
        return bootstrap(distances, reference.prompts)

    def _network(self) -> Any:
        extra("torchvision", "LPIPS")
        try:
            return extra("torchmetrics.image.lpip", "LPIPS").LearnedPerceptualImagePatchSimilarity(
                net_type=self.net, normalize=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Refusal(
                f"no LPIPS network {self.net!r} ({reason}): net is alex, vgg or squeeze, and torchvision's "
                "weights of it must be in $TORCH_HOME/hub/checkpoints where there is no network"
            ) from error


def _images(samples: Samples) -> Tensor:
    """float32 in [0, 1], (n, 3, height, width)."""
    return samples.media.flatten(0, 1).expand(-1, 3, -1, -1).float() / 255


def _distance(network: Any, ours: Tensor, dense: Tensor) -> Tensor:
    """Of one pair, so that there is an interval over pairs."""
    network.reset()
    network.update(ours[None], dense[None])
    value: Tensor = network.compute()
    return value
