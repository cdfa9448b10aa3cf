"""Which modules are the blocks of a network: its attentions and feed-forwards lie in them.

A block is a member of a ``ModuleList`` of its like; a list of members of several classes holds the parts of
one block (T5's attention and feed-forward).
"""

from collections.abc import Iterable

from torch import nn

from prunelab.walkers.attentions import attentions
from prunelab.walkers.feed_forwards import feed_forwards


def block_paths(root: nn.Module) -> list[str]:
    """The innermost blocks around attentions and feed-forwards, in the order of ``named_modules``."""
    inner = [*(each.path for each in attentions(root)), *(each.path for each in feed_forwards(root))]
    stacks = {path: module for path, module in root.named_modules() if isinstance(module, nn.ModuleList)}
    found = {block for path in inner if (block := _around(path, stacks))}
    return [path for path, _ in root.named_modules() if path in found]


def _around(path: str, stacks: dict[str, nn.ModuleList]) -> str | None:
    """The nearest member of a stack around ``path``; None where it is a member itself, or in no stack."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        stack = stacks.get(".".join(parts[: length - 1]))
        if stack is not None and _alike(stack):
            found = stack[int(parts[length - 1])]
            if isinstance(found, nn.ModuleList):
                return None
            return ".".join(parts[:length]) if length < len(parts) else None
    return None


def _alike(members: Iterable[nn.Module]) -> bool:
    kinds = {type(each) for each in members if any(True for _ in each.parameters())}
    return len(kinds) == 1
