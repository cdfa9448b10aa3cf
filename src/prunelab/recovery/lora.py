"""Low-rank adaptation: the weights stay, and small matrices beside them are trained and merged at the end.

LoRA (Hu et al., ICLR 2022, arXiv 2106.09685), one of the two retrainings of EcoDiff: a layer with weight W
computes with W + (alpha / rank) B A, B zero at first; only A and B are trained. Merged, the model has the
structure that it had before, and nothing of the adapters is left. The sum fills zeros among the weights, so
models whose single weights were removed are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.prices import Price
from prunelab.core.protocols import Model
from prunelab.core.settings import Count, Made, Names, Positive, settings
from prunelab.recovery.training_draws import Draws

ADAPTER = "recovery"


@settings
class Lora:
    """``method``: what is minimised, Finetune or Distill. rank, alpha: of the adapters.

    targets: how the paths of the adapted layers end, Linear layers and convolutions alike.
    """

    adapts: ClassVar[bool] = True  # weights are frozen, and zeros among them filled

    method: Made
    rank: Count = 16
    alpha: Positive = 16.0
    targets: Names = ("to_q", "to_k", "to_v", "to_out.0")

    @property
    def drop(self) -> float:
        """The share of prompts left empty is the method's."""
        share: float = self.method.drop
        return share

    def price(self, draws: int, batch: int) -> Price:
        """The method's; weights are frozen, adapters small."""
        inner: Price = self.method.price(draws, batch)
        return replace(inner, frozen=True)

    def objective(self, student: Model, teacher: Model, draws: Draws) -> "Adaptation":
        """What is minimised, over adapters drawn from the draws' seed."""
        return Adaptation(self.method.objective(student, teacher, draws), self, draws.seed)


class Adaptation:
    """Another objective whose trained module has adapters, which alone are trained."""

    def __init__(self, inner: Any, knobs: Lora, seed: int) -> None:
        self.inner = inner
        self.trained: nn.Module = inner.trained
        self.frozen: Sequence[Any] = inner.frozen
        config = LoraConfig(
            r=knobs.rank, lora_alpha=knobs.alpha, target_modules=_found(self.trained, knobs.targets)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._adapted = LoraModel(self.trained, config, ADAPTER)

    @property
    def called(self) -> bool:
        """Whether the other objective calls the trained module as a whole."""
        return bool(getattr(self.inner, "called", False))

    def batch(self, draws: range) -> Any:
        """The batch of these draws, on the CPU."""
        return self.inner.batch(draws)

    def loss(self, batch: Any) -> Mapping[str, Tensor]:
        """The other objective's loss and its parts."""
        losses: Mapping[str, Tensor] = self.inner.loss(batch)
        return losses

    def finish(self) -> None:
        """Merge the adapters into the weights; ``trained`` is then made of its own layers again."""
        self._adapted.merge_and_unload()


def _found(module: nn.Module, targets: Sequence[str]) -> list[str]:
    """The paths of the layers to adapt; pruning may have taken some of them."""
    found = [
        path
        for path, layer in module.named_modules()
        if type(layer) in (nn.Linear, nn.Conv2d) and any(f".{path}".endswith(f".{end}") for end in targets)
    ]
    if not found:
        raise Refusal(
            f"recovery.method.targets={list(targets)} names no layer of the pruned denoiser: "
            "name others, such as [conv1, conv2], or use recovery=finetune or distill"
        )
    return found
