"""Units: what can be pruned, where it sits in the weights, and how its removal is simulated.

A unit is a named array of elements that live or die together with the parameter slices behind each
element. It knows nothing about scores, budgets or how many elements go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn


@dataclass(frozen=True)
class Slice:
    """The rows of one parameter that belong to a unit's elements.

    Element ``i`` owns indices ``offset + i * block`` up to ``offset + (i + 1) * block`` along ``dim``, or
    along the whole parameter read row by row where the slice is ``flat``.
    """

    parameter: str
    dim: int = 0
    block: int = 1
    offset: int = 0
    flat: bool = False

    def view(self, tensor: Tensor, elements: int) -> Tensor:
        """The slice of ``tensor`` (the parameter, its gradient, ...) as ``(elements, -1)``."""
        if tensor.ndim == 0:
            return tensor.reshape(1, 1)
        if self.flat:
            tensor = tensor.reshape(-1)
        rows = tensor.narrow(self.dim, self.offset, elements * self.block)
        return rows.movedim(self.dim, 0).reshape(elements, rows.numel() // elements)


@dataclass(frozen=True)
class Instead:
    """What stands in the place of a module that lost all of a unit's elements.

    becomes: its ``input``; ``nothing``, which is zeros; its input through its ``shortcut``, which is
        ``module.conv_shortcut``; a ``bypass``, a cheaper module that restores the shape; the ``bias`` of its
        last projection.
    returns: how many values the module returns as a tuple, 0 for a bare tensor.
    width: of what it returns, where that is not its input's.
    biases: where these projections lie, one for each stream that the module reads and returns, None for a
        stream without one.
    residual: whether the module adds its input. rescale: what it divides its output by.
    streams: the argument that each returned value follows, None for a value that is none; empty where the
        first value follows the first argument.
    """

    becomes: Literal["input", "nothing", "shortcut", "bypass", "bias"]
    returns: int = 0
    width: int | None = None
    biases: tuple[str | None, ...] = ()
    residual: bool = False
    rescale: float = 1.0
    streams: tuple[str | None, ...] = ()

    def entry(self) -> dict[str, Any]:
        """As JSON, in the words of a structure (:mod:`prunelab.surgery.portable`); defaults are left out."""
        said = {name: value for name, value in vars(self).items() if value != getattr(Instead, name, "")}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


@dataclass(frozen=True)
class Gate:
    """Where one factor per element reproduces the removal.

    At the ``input`` of ``module`` the factors multiply the activations along ``dim`` from ``offset`` on,
    each covering ``block`` consecutive entries; other entries are left alone. At the ``entries`` of its
    output they do the same, and slimming leaves zeros in the place of what goes. At its ``output`` one
    factor blends the whole output with what comes ``instead`` by the unit; ``bypass`` is the cheaper module
    where that is one. At its ``weight`` there is one factor per weight, row by row.
    """

    module: str
    at: Literal["input", "output", "entries", "weight"]
    dim: int = -1
    block: int = 1
    offset: int = 0
    bypass: nn.Module | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Counter:
    """An attribute that counts elements: ``Attention.heads`` (block 1), ``Attention.inner_dim``.

    among: how many share them equally where it counts those of one, as a head's channels.
    """

    module: str
    attribute: str
    block: int = 1
    among: int = 1


@dataclass(frozen=True)
class Unit:
    """A named array of ``elements`` that can be removed one by one.

    host: the module whose multiply-accumulates the elements share equally; ``spared`` are modules
        inside it that survive the removal (a ResNet block's 1x1 shortcut).
    matrix: (rows, columns) where the elements are the single weights of one matrix, row by row: outputs by
        inputs, a convolution's kernel among its inputs. Such weights become zero and keep their place.
    layer: the transformer block that the unit lies in, empty outside of any.
    exact: whether gating equals slimming to round-off. Through a normalisation it does not, and the
        equality test is waived by this flag.
    more_gates: the other places where the same factors apply, for elements that several modules read.
    runs: 0 where any elements may go; otherwise the elements are so many equal runs in a row (norm
        groups, attention heads), and each run has to keep equally many, at least one.
    instead: what stands in the place of the module at ``path`` once no element is left; None where it
        stays, without any width.
    Module and parameter paths are relative to the component.
    """

    component: str
    path: str
    granularity: str
    elements: int
    slices: tuple[Slice, ...]
    gate: Gate
    host: str
    spared: tuple[str, ...] = ()
    counters: tuple[Counter, ...] = ()
    exact: bool = True
    more_gates: tuple[Gate, ...] = ()
    runs: int = 0
    matrix: tuple[int, int] | None = None
    layer: str = ""
    instead: Instead | None = None

    @property
    def name(self) -> str:
        """``component/module path#granularity``: unique in a model, and how ties are broken."""
        return f"{self.component}/{self.path}#{self.granularity}"

    def views(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Every coupled tensor as ``(elements, -1)``.

        ``tensors`` maps the component's parameter names to the parameters, or to their gradients.
        """
        return [piece.view(tensors[piece.parameter], self.elements) for piece in self.slices]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Every place where the factors apply."""
        return (self.gate, *self.more_gates)

    def keeps_runs_equal(self, keep: Tensor) -> bool:
        """Whether ``keep``, bool of shape (elements,), leaves every run equally long and not empty."""
        if not self.runs:
            return True
        left = keep.reshape(self.runs, -1).sum(dim=1)
        return bool((left == left[0]).all() and left[0] > 0)

    def parameters_per_element(self, component: nn.Module) -> int:
        """How many parameters leave with one element, less those of a bypass that comes instead."""
        views = self.views(
            {piece.parameter: component.get_parameter(piece.parameter) for piece in self.slices}
        )
        instead = self.gate.bypass.parameters() if self.gate.bypass is not None else ()
        return sum(view.shape[1] for view in views) - sum(parameter.numel() for parameter in instead)


def overlap(units: Iterable[Unit]) -> tuple[Unit, Unit] | None:
    """The first two units of different granularities that share a parameter, or None."""
    owners: dict[tuple[str, str], list[tuple[Unit, Slice]]] = {}
    for unit in units:
        for piece in unit.slices:
            others = owners.setdefault((unit.component, piece.parameter), [])
            for owner, taken in others:
                if owner.granularity != unit.granularity and _meet(owner, taken, unit, piece):
                    return owner, unit
            others.append((unit, piece))
    return None


def _meet(one: Unit, a: Slice, other: Unit, b: Slice) -> bool:
    """Whether two slices of one parameter share a weight: those along one dimension may lie side by side."""
    if a.flat or b.flat or a.dim != b.dim:
        return True
    ends = (a.offset + one.elements * a.block, b.offset + other.elements * b.block)
    return a.offset < ends[1] and b.offset < ends[0]


def by_component(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """Units grouped by the component they belong to, in their order."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.component, []).append(unit)
    return groups
