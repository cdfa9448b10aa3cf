"""Which versions of the software made the rows of a report, where those differ."""

from collections.abc import Sequence

from prunelab.report.schema import Row


def differing(rows: Sequence[Row]) -> dict[str, list[str]]:
    """By package, the versions that made the rows' models, of those packages where there are several.

    A row without versions, of a report from before they were written down, says nothing.
    """
    told = [versions for row in rows if (versions := row.get("versions"))]
    found = {name: sorted({each[name] for each in told if name in each}) for each in told for name in each}
    return {name: versions for name, versions in sorted(found.items()) if len(versions) > 1}


def mixed(rows: Sequence[Row]) -> str:
    """The line for who compares rows of different versions; empty where there is nothing to say."""
    parts = [f"{name} ({', '.join(versions)})" for name, versions in differing(rows).items()]
    listed = " and ".join(parts)
    return (
        f"these models were made by different versions of {listed}: last digits may differ for that"
        * bool(parts)
    )
