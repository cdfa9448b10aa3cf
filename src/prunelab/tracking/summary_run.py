"""The run that sums up a job: logged when the job has come to its end, and again by the same command."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.tracking.protocol import Tracker

JOB = "summary"
FILES = ("stills", "played")  # of a preview


@dataclass(frozen=True)
class Summary:
    """What such a run is told: see :class:`prunelab.tracking.protocol.Tracker` and its ``Run``.

    values: numbers under ``STATE/NAME``, of which ``quantities`` describe some. previews: shown under
    ``samples/STATE``.
    """

    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    output: str
    label: str
    tags: Sequence[str]
    values: Mapping[str, float]
    quantities: Mapping[str, Quantity]
    previews: Sequence[Preview]

    def log(self, tracker: Tracker) -> None:
        """Log it as one run."""
        with tracker.stage(
            JOB, self.config, self.inputs, self.output, label=self.label, tags=self.tags
        ) as run:
            run.conclude(self.values, self.quantities)
            for preview in self.previews:
                run.show(f"samples/{preview.state}", preview)

    def as_json(self) -> dict[str, Any]:
        """JSON values, files of previews among them in base 64."""
        plain = {name: value for name, value in vars(self).items() if name not in ("quantities", "previews")}
        quantities = {name: quantity.as_json() for name, quantity in self.quantities.items()}
        return {**plain, "quantities": quantities, "previews": [_encoded(each) for each in self.previews]}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Summary":
        """What ``as_json`` made."""
        quantities = {name: Quantity.from_json(each) for name, each in told["quantities"].items()}
        previews = [_decoded(each) for each in told["previews"]]
        return cls(**{**told, "quantities": quantities, "previews": previews})


def _encoded(preview: Preview) -> dict[str, Any]:
    files = {name: [b64encode(each).decode() for each in getattr(preview, name)] for name in FILES}
    return {**vars(preview), "captions": [*preview.captions], **files}


def _decoded(told: Mapping[str, Any]) -> Preview:
    files = {name: tuple(b64decode(each) for each in told[name]) for name in FILES}
    return Preview(**{**told, **files})
