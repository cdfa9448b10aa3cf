"""Walkers over single weights: one unit per weight matrix, an element is one weight.

As in the study of Stable Diffusion 2 by Ramesh & Zhao (arXiv 2411.15113): all Linear layers of the denoiser,
and of a text encoder those inside its transformer blocks. The study leaves convolutions dense; here they are
units of their own. Embeddings, norms and biases never are.
"""

from collections.abc import Callable, Iterator

from torch import nn
from transformers import PreTrainedModel

from prunelab.core.units import Gate, Slice, Unit
from prunelab.surgery.pruned_structure import CONVOLUTIONS
from prunelab.walkers.calls import Calls
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.stacks import block_paths


def weights(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """The weights of every Linear layer; of a transformers model, of those inside its blocks."""
    inside_blocks_only = isinstance(root, PreTrainedModel)
    for unit in _matrices(component, root, "weight", lambda module: isinstance(module, nn.Linear)):
        if unit.layer or not inside_blocks_only:
            yield unit


def conv_weights(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """The weights of every convolution of 1, 2 or 3 dimensions, a row per output channel."""
    return _matrices(component, root, "conv_weight", lambda module: isinstance(module, CONVOLUTIONS))


def _matrices(
    component: str, root: nn.Module, granularity: str, match: Callable[[nn.Module], bool]
) -> Iterator[Unit]:
    layers = block_paths(root)
    for path, module in root.named_modules():
        if match(module):
            weight = module.get_parameter("weight")
            yield Unit(
                component=component,
                path=path,
                granularity=granularity,
                elements=weight.numel(),
                slices=(Slice(f"{path}.weight", flat=True),),
                gate=Gate(path, "weight"),
                host=path,
                matrix=(weight.shape[0], weight.shape[1:].numel()),
                layer=next((layer for layer in layers if path.startswith(f"{layer}.")), ""),
            )


WEIGHT = Granularity("weight", weights)
CONV_WEIGHT = Granularity("conv_weight", conv_weights)
