"""Units of one element that own a whole module."""

from collections.abc import Callable, Container, Iterator

from torch import nn

from prunelab.core.units import Gate, Instead, Slice, Unit

Match = Callable[[str, nn.Module], Instead | None]


def outermost(root: nn.Module, match: Match) -> Iterator[tuple[str, nn.Module, Instead]]:
    """Matching modules that lie in no other matching module, in the order of ``named_modules``."""
    found: set[str] = set()
    for path, module in root.named_modules():
        instead = None if inside(path, found) else match(path, module)
        if instead is not None:
            found.add(path)
            yield path, module, instead


def inside(path: str, others: Container[str]) -> bool:
    """Whether ``path`` lies in one of the ``others``."""
    parts = path.split(".")
    return any(".".join(parts[:length]) in others for length in range(1, len(parts)))


def whole(component: str, path: str, module: nn.Module, granularity: str, instead: Instead) -> Unit:
    """A unit of one element that owns the module, less the shortcut that flows instead."""
    spared = (f"{path}.conv_shortcut",) if instead.becomes == "shortcut" else ()
    return Unit(
        component=component,
        path=path,
        granularity=granularity,
        elements=1,
        slices=tuple(
            Slice(f"{path}.{name}", dim=0, block=parameter.shape[0])
            for name, parameter in module.named_parameters()
            if parameter.ndim and not inside(f"{path}.{name}", spared)
        ),
        gate=Gate(path, "output"),
        host=path,
        spared=spared,
        instead=instead,
    )
