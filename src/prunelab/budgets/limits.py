"""What a budget cannot do, refused: units that it cannot rank, costs that they do not hold."""

from collections.abc import Sequence

from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.units import Unit, by_component


def check_single_weights(units: Sequence[Unit], budget: str) -> None:
    """Refuse units that are more than single weights."""
    for unit in units:
        if unit.matrix is None:
            raise Refusal(
                f"budget={budget} compares single weights, not {unit.granularity} units: set "
                "granularity=weight or conv_weight, or use budget=global, per_component or uniform"
            )


def check_structures(units: Sequence[Unit]) -> None:
    """Refuse single weights."""
    for unit in units:
        if unit.matrix is not None:
            raise Refusal(
                f"{unit.granularity} units are single weights, which become zero and keep their place: "
                "use budget=groups, n_of_m or owl"
            )


def check_free(units: Sequence[Unit], budget: str) -> None:
    """Refuse units whose elements cannot go one by one under a ranking over all of them."""
    check_structures(units)
    bound = [unit for unit in units if unit.runs]
    if bound:
        raise Refusal(
            f"budget={budget} ranks all elements together, but {bound[0].granularity} units have to keep "
            "equally many in each run (norm groups, heads): use budget=uniform"
        )


def check_separate(units: Sequence[Unit]) -> None:
    """Refuse to add up the latency of units that share it."""
    wired = [unit for unit in units if unit.runs]
    if wired:
        raise Refusal(
            f"budget.of=latency cannot be added up over {wired[0].granularity} units: the rows of one are "
            "columns of another; use budget.of=elements, parameters or macs"
        )


def reachable(units: Sequence[Unit], ledger: Ledger, share: float, of: str) -> tuple[float, float]:
    """The cost that is to go and that of all components together.

    Refuses a target that the units cannot give, with the share that they can.
    """
    components = by_component(units)
    total = sum(ledger.total(name) for name in components)
    target = share * total
    held = sum(ledger.cost(unit) * unit.elements for unit in units)
    if held < target * (1 - 1e-9):
        kinds = "/".join(sorted({unit.granularity for unit in units}))
        most = int(held / total * 100) / 100
        raise Refusal(
            f"sparsity={target / total:.3g} of {' and '.join(components)}'s {of} cannot be met: its {kinds} "
            f"units hold {held / total:.1%} of them; ask for at most sparsity={most} or choose another "
            "granularity"
        )
    return target, total
