"""What looks like a part that a granularity cuts: known by what it holds, or called so by its class."""

import re

from torch import nn

from prunelab.walkers.attentions import attentions
from prunelab.walkers.feed_forwards import feed_forwards
from prunelab.walkers.whole import inside

ATTENTION = re.compile(r"Attention|Attn")
FEED_FORWARD = re.compile(r"FeedForward|FFN|M[lL][pP]|GLU|Experts?$")
AROUND = re.compile(r"Block|Model|Transformer|Processor|Layer$|Encoder$")  # what only holds these


def like_attentions(root: nn.Module) -> list[str]:
    """The paths of attentions, and of what is called so."""
    return _like(root, [found.path for found in attentions(root)], ATTENTION)


def like_feed_forwards(root: nn.Module) -> list[str]:
    """The paths of feed-forwards, and of what is called so."""
    return _like(root, [found.path for found in feed_forwards(root)], FEED_FORWARD)


def _like(root: nn.Module, known: list[str], name: re.Pattern[str]) -> list[str]:
    """The known ones, and what is called so, holds parameters, and is neither inside nor around another."""
    called = [
        path
        for path, module in root.named_modules()
        if path
        and name.search(type(module).__name__)
        and not AROUND.search(type(module).__name__)
        and any(True for _ in module.parameters())
    ]
    others = set(known)
    free = [path for path in called if path not in others and not inside(path, others)]
    ends = {path for path in free if not any(each.startswith(f"{path}.") for each in (*known, *free))}
    return [path for path, _ in root.named_modules() if path in others or path in ends]


def like_operators(root: nn.Module) -> list[str]:
    """The paths of both."""
    return [*like_attentions(root), *like_feed_forwards(root)]
