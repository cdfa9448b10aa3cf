"""Cost: what a model's components hold and spend, counted once per model."""

from pathlib import Path

from prunelab.core.protocols import Model
from prunelab.costs.component import model_costs
from prunelab.costs.compressed import compressed_bytes
from prunelab.engine import ranks
from prunelab.stages.bench import Bench, Write, write_json
from prunelab.tracking.protocol import Run

VERSION = 1

Costs = dict[str, dict[str, int]]


def dense_costs(bench: Bench) -> Costs:
    """Costs of the dense model, as of :func:`costs`."""
    return costs(bench, bench.model, bench.model.fingerprint())


def costs(bench: Bench, model: Model, identity: str) -> Costs:
    """Component (and ``total``) -> cost -> its figure, for ``model``, whose weights ``identity`` names."""

    def make(partial: Path, run: Run) -> Write:
        counted = {} if ranks.rank() else model_costs(model, bench.counts)
        run.conclude({f"{part}/{name}": each for part, own in counted.items() for name, each in own.items()})
        return lambda folder: write_json(folder / "costs.json", counted)

    found = bench.artifact("cost", bench.model.name, VERSION, {}, make, {"model": identity})
    return Costs(found.json("costs.json"))


def compressed(bench: Bench, folder: Path, identity: str) -> int:
    """Bytes of the saved model in ``folder`` when compressed; counted once, as large ones take a while."""

    def make(partial: Path, run: Run) -> Write:
        counted = 0 if ranks.rank() else compressed_bytes(folder)
        return lambda place: write_json(place / "compressed.json", counted)

    found = bench.artifact("compress", bench.model.name, VERSION, {}, make, {"model": identity})
    return int(found.json("compressed.json"))
