"""The card of a saved model, in the form of diffusers: ``README.md`` beside its ``model_index.json``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunelab.report.labels import shares, text
from prunelab.report.numbers import UNDEFINED, count, estimate_texts, share
from prunelab.report.quoting import markdown as quoted
from prunelab.report.quoting import printable
from prunelab.report.schema import Row
from prunelab.report.tables import TITLES, dense_of
from prunelab.report.titles import metrics_of, quantity, titled

CHOICES = ("scorer", "granularity", "budget", "bypass", "recovery", "seed")
ACHIEVED = ("elements", "parameters", "nonzeros", "macs")
COUNTED = ("parameters", "nonzeros", "macs")
STATES = {
    "pruned": "pruned, without any training since",
    "recovered": "pruned, and trained to recover",
    "scratch": "the structure that pruning left, trained from random weights: a control",
}
USE = """```python
import prunelab

pipeline = prunelab.load_pruned("FOLDER")
```

or without prunelab, by the code that lies beside the weights:

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
```
"""


@dataclass(frozen=True)
class Licence:
    """Of the base model: an identifier as the hub knows it, and a sentence for people."""

    identifier: str
    sentence: str


def card(row: Row, rows: Sequence[Row], licence: Licence) -> str:
    """The card of the model that ``row`` is of; ``rows``: of the same job, the dense model's among them."""
    dense = dense_of(row, rows)
    parts = {
        "What was removed": _removed(row, dense),
        "How": _how(row),
        "Results": _results(row, dense, rows),
        "Use": USE,
        "Licence": f"{quoted(licence.sentence)}\n",
    }
    sections = "\n".join(f"## {title}\n\n{content}" for title, content in parts.items())
    return f"{_head(row, licence)}\n{sections}"


def _head(row: Row, licence: Licence) -> str:
    """What the hub reads, in YAML, then the title."""
    model = quoted(row["model"])
    lines = [
        "---",
        f"license: {licence.identifier}",
        "library_name: diffusers",
        f"base_model: {json.dumps(printable(row['model']), ensure_ascii=False)}",
        "tags: [diffusers, pruning, prunelab]",
        "---",
        f"\n# {model}, {row['state']}\n",
        f"{model}, {STATES[row['state']]}. Made by prunelab.\n",
    ]
    return "\n".join(lines)


def _removed(row: Row, dense: Row | None) -> str:
    asked = row["sparsity"]
    of = f" of {asked['of']}" if asked["of"] else ""
    requested = [["asked for", f"{shares(asked['requested'])}{of}"]] if asked["requested"] is not None else []
    achieved = [[f"{TITLES[name]} removed", share(asked[name])] for name in ACHIEVED]
    base = dense["cost"]["components"] if dense else {}
    costs = [
        [quoted(name), *(_change(own[key], base.get(name, own)[key]) for key in COUNTED)]
        for name, own in row["cost"]["components"].items()
    ]
    heads = [["of the pruned components", "share"], ["component", *(TITLES[name] for name in COUNTED)]]
    return f"{_table(heads[0], [*requested, *achieved])}\n{_table(heads[1], costs)}"


def _change(own: int, base: int) -> str:
    return count(own) if own == base else f"{count(own)} (of {count(base)})"


def _how(row: Row) -> str:
    chosen = [(field, text(row, field)) for field in CHOICES] + list((row.get("settings") or {}).items())
    listed = _table(["choice", "value"], [[quoted(name), quoted(value)] for name, value in chosen if value])
    made = row.get("provenance")
    if not made:
        return listed
    return f"{listed}\n{_command(made)}\nFrom the artifacts {', '.join(_addresses(row))}.\n"


def _command(made: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in made["libraries"].items())
    commit = f" (commit {made['commit']})" if made["commit"] else ""
    with_what = f"With prunelab {made['version']}{commit}, {libraries}, on {made['date']}."
    return f"    {printable(made['command'])}\n\n{quoted(with_what)}\n"


def _addresses(row: Row) -> list[str]:
    found = row.get("addresses") or [row["address"]]
    return [f"`{printable(address).replace('`', '')}`" for address in found]


def _results(row: Row, dense: Row | None, rows: Sequence[Row]) -> str:
    lines = [
        [quoted(titled(quantity(rows, name))), *(_estimate(one, name, rows) for one in (dense, row))]
        for name in metrics_of([row])
    ]
    measured = "; ".join(f"{name}: {value}" for name, value in row.get("conditions", {}).items())
    note = "Value [low, high]: a 95 % interval of means, the sampling seeds' range of distances."
    return f"{_table(['metric', 'dense', row['state']], lines)}\n{note}\n" + (
        f"Measured on {quoted(measured)}.\n" if measured else ""
    )


def _estimate(row: Row | None, name: str, rows: Sequence[Row]) -> str:
    estimate = row["metrics"].get(name) if row else None
    kind = quantity(rows, name)
    return UNDEFINED if estimate is None else quoted(" ".join(filter(None, estimate_texts(estimate, kind))))


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
