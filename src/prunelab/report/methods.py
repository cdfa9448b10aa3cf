"""Methods: the choices by which rows differ, less how much was asked for and the seed."""

from collections.abc import Sequence

from prunelab.report.labels import label, text, varying
from prunelab.report.schema import Row
from prunelab.report.summary import Group, over_seeds


def methods(rows: Sequence[Row]) -> list[tuple[str, Group]]:
    """The rows over seeds but the dense ones, each group after its method.

    That is those of its choices (but sparsity and seed) that differ, the scorer first.
    """
    fields = [field for field in varying(rows) if field not in ("requested", "seed", "scorer")]
    named = []
    for group in over_seeds(rows):
        if group.state == "dense":
            continue
        words = (text(group.rows[0], "scorer"), label(group.rows[0], fields), group.repeat)
        named.append((" · ".join(filter(None, words)), group))
    return named
