"""Conditions: prompts with what a pipeline's own ``encode_prompt`` made of them, so that it runs once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from prunelab.models.seams import Heard

Encode = Callable[..., Any]
Stacked = Callable[[], Mapping[str, Sequence[int | None]]]
PROMPTS = "the prompts"  # in the place of them


@dataclass(frozen=True)
class Conditions:
    """What each of ``prompts`` asks for.

    known: a call of ``encode_prompt``, as text, with these prompts left out -> what it returned.
    stacked: gives, when some of the prompts are taken first, the same call -> along which dimension each
        tensor that it returns has one entry per prompt.
    """

    prompts: tuple[str, ...]
    known: dict[str, Any] = field(default_factory=dict)
    stacked: Stacked = dict

    def __len__(self) -> int:
        """How many prompts."""
        return len(self.prompts)

    def __getitem__(self, items: Tensor) -> "Conditions":
        """The conditions of these prompts, by their numbers: int64 (b,)."""
        chosen = tuple(self.prompts[int(i)] for i in items)
        places = self.stacked()
        kept = {key: _rows(self.known[key], items, places[key]) for key in self.known.keys() & places.keys()}
        return Conditions(chosen, kept, self.stacked)

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach what reads the prompts."""
        leaves = tree_leaves(list(self.known.values()))
        return any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves)

    def remembering(self, encode: Encode, readings: int = 0) -> Encode:
        """``encode`` for calls with these prompts, each way once; they end with the last of ``readings``."""

        def encoded(*args: Any, **kwargs: Any) -> Any:
            key = self._key(args, kwargs)
            if key is None:
                return encode(*args, **kwargs)
            if key not in self.known:
                self.known[key] = encode(*args, **kwargs)
                if len(self.known) == readings:
                    raise Heard(None)
            return self.known[key]

        return encoded

    def _key(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """The call as text; None where there are tensors in it."""
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves([args, dict(kwargs)])):
            return None
        own = list(self.prompts)
        marked = [PROMPTS if each == own else each for each in args]
        return repr((marked, {name: PROMPTS if each == own else each for name, each in kwargs.items()}))


def _rows(value: Any, items: Tensor, stacked: Sequence[int | None]) -> Any:
    leaves, shape = tree_flatten(value)
    pairs = zip(leaves, stacked, strict=True)
    own = [leaf if dim is None else leaf.index_select(dim, items.to(leaf.device)) for leaf, dim in pairs]
    return tree_unflatten(own, shape)


def stacked(one: Conditions, two: Conditions) -> dict[str, list[int | None]]:
    """Where tensors have one entry per prompt: where they are twice as long for two prompts as for one.

    What is a list of one entry per prompt is left out.
    """
    leaves = [{key: tree_leaves(value) for key, value in each.known.items()} for each in (one, two)]
    return {
        key: [_twice(*pair) for pair in zip(few, leaves[1][key], strict=True)]
        for key, few in leaves[0].items()
        if len(few) == len(leaves[1].get(key, ()))
    }


def _twice(one: Any, two: Any) -> int | None:
    if not (isinstance(one, Tensor) and isinstance(two, Tensor)):
        return None
    return next(
        (dim for dim, (few, many) in enumerate(zip(one.shape, two.shape, strict=True)) if many > few), None
    )
