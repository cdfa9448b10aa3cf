"""Feed-forwards by what they hold: layers that make hidden neurons, and one that reads them.

``FORMS`` names what makes them and what reads them, as diffusers and transformers call these. A layer that
makes twice as many holds a gate beside them. Nothing else with parameters may lie in the module, or it is
another thing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from prunelab.walkers.whole import inside

FORMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("net.0.proj",), "net.2"),  # diffusers' FeedForward, its activation among them
    (("fc1",), "fc2"),
    (("linear_fc1",), "linear_fc2"),
    (("w1", "w3"), "w2"),
    (("linear_1", "linear_3"), "linear_2"),
    (("linear_1", "linear_2"), "out_projection"),
    (("gate_proj", "up_proj"), "down_proj"),
    (("gate_proj", "up_proj"), "linear_fc2"),
    (("gate", "up"), "down"),
    (("wi_0", "wi_1"), "wo"),
    (("wi",), "wo"),
    (("linear_in",), "linear_out"),
    (("gate_up_proj",), "down_proj"),
    (("up_proj",), "down_proj"),
    (("in_layer",), "out_layer"),
    (("proj_in",), "proj_out"),
    (("lin1",), "lin2"),
    (("dense_h_to_4h",), "dense_4h_to_h"),
)


@dataclass(frozen=True)
class FeedForward:
    """A feed-forward.

    makers: the paths within it of what makes its neurons, each with how often it holds them. reader: of what
    reads them. depthwise: a convolution between, one kernel for each that is made; empty where there is none.
    """

    path: str
    module: nn.Module
    makers: tuple[tuple[str, int], ...]
    reader: str
    neurons: int
    depthwise: str = ""


def feed_forwards(root: nn.Module) -> Iterator[FeedForward]:
    """Every feed-forward, in the order of ``named_modules``; outside of stacks (embeddings) of two forms."""
    stacked = {path for path, module in root.named_modules() if isinstance(module, nn.ModuleList)}
    for path, module in root.named_modules():
        within = inside(path, stacked)
        found = _named(path, module, FORMS if within else FORMS[:2]) or _convolved(path, module)
        found = found or (_sequential(path, module) if within else None)
        if found is not None:
            yield found


def _named(
    path: str, module: nn.Module, forms: tuple[tuple[tuple[str, ...], str], ...]
) -> FeedForward | None:
    for makers, reader in forms:
        layers = (*makers, reader)
        if all(_linear(module, name) for name in layers) and _alone(module, layers):
            found = _made(path, module, makers, reader)
            if found is not None:
                return found
    return None


def _made(path: str, module: nn.Module, makers: tuple[str, ...], reader: str) -> FeedForward | None:
    last = _linear(module, reader)
    neurons = 0 if last is None else last.in_features
    rows = [len(layer.weight) for name in makers if (layer := _linear(module, name)) is not None]
    held = [each // max(neurons, 1) for each in rows]
    fits = all(times in (1, 2) and times * neurons == each for times, each in zip(held, rows, strict=True))
    if not fits and any(rows):
        return None
    return FeedForward(path, module, tuple(zip(makers, held, strict=True)), reader, neurons)


def _linear(module: nn.Module, path: str) -> nn.Linear | None:
    place: object = module
    for name in path.split("."):
        place = getattr(place, "_modules", {}).get(name)
    return place if isinstance(place, nn.Linear) else None


def _alone(module: nn.Module, paths: tuple[str, ...]) -> bool:
    """Whether the module has no parameters but those of these layers."""
    return all(name.rpartition(".")[0] in paths for name, _ in module.named_parameters())


def _convolved(path: str, module: nn.Module) -> FeedForward | None:
    """Sana's: a 1x1 convolution, a depthwise one, and a 1x1 convolution back, gated between."""
    first, middle, last = (
        module._modules.get(name) for name in ("conv_inverted", "conv_depth", "conv_point")
    )
    if not (isinstance(first, nn.Conv2d) and isinstance(middle, nn.Conv2d) and isinstance(last, nn.Conv2d)):
        return None
    neurons = last.in_channels
    if first.out_channels != 2 * neurons or middle.groups != first.out_channels:
        return None
    return FeedForward(path, module, (("conv_inverted", 2),), "conv_point", neurons, "conv_depth")


def _sequential(path: str, module: nn.Module) -> FeedForward | None:
    """A Linear, an activation and a Linear in a row."""
    if not isinstance(module, nn.Sequential):
        return None
    layers = [name for name, child in module.named_children() if isinstance(child, nn.Linear)]
    if len(layers) != 2 or not _alone(module, tuple(layers)):
        return None
    between = any(int(name) - int(other) > 1 for other, name in pairwise(layers) if name.isdigit())
    return _made(path, module, (layers[0],), layers[1]) if between else None
