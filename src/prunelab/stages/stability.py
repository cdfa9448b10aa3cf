"""By how much two halves of a scorer's samples agree on the ranks, kept with the scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prunelab.core.halves import Averaged, agreements
from prunelab.core.scores import Plan, Scores
from prunelab.core.units import Unit
from prunelab.stages.bench import Artifact, write_json

FILE = "stability.json"


def stability(scores: Scores, most: int, units: Sequence[Unit], plan: Plan) -> dict[str, Any] | None:
    """What ``stability.json`` holds; None of scores that no samples were drawn for, or too few for halves.

    most: how many samples there may have been. plan: what earlier rounds removed, which has no rank.
    """
    if not isinstance(scores, Averaged) or not scores.halves:
        return None
    counts = {"samples": scores.samples, "of": max(most, scores.samples), "halves": list(scores.halves)}
    return {**counts, "spearman": agreements(scores, units, plan)}


def write_stability(folder: Path, found: Mapping[str, Any] | None) -> None:
    """Put it beside the scores, where there is any."""
    if found:
        write_json(folder / FILE, found)


def load_stability(artifact: Artifact) -> dict[str, Any] | None:
    """Of a score artifact; None where it has none, as those from before it was looked for."""
    return dict(artifact.json(FILE)) if (artifact.path / FILE).is_file() else None


def numbers(found: Mapping[str, Any] | None) -> dict[str, float]:
    """What a log records, a number per name."""
    if not found:
        return {}
    agreed = {f"stability/{kind}": value for kind, value in found["spearman"].items() if value is not None}
    return {"stability/samples": found["samples"], **agreed}


def line(found: Mapping[str, Any]) -> str:
    """It in words for who watches."""
    used, most = found["samples"], found["of"]
    of = f"{used} of at most {most} samples" if used < most else f"{used} samples"
    agreed = {kind: value for kind, value in found["spearman"].items() if value is not None}
    several = len(agreed) > 1
    said = [f"{value:.2f}{f' ({kind})' * several}" for kind, value in agreed.items()]
    if not said:
        return f"score: two halves of {of} cannot be compared: there are too few elements, or all score alike"
    return f"score: ranks by two halves of {of} agree by {', '.join(said)} (Spearman)"
