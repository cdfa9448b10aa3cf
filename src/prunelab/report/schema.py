"""The shape of ``report.json``, checked when it is written and when it is read. See docs/report.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from prunelab.core.errors import Refusal
from prunelab.core.quantities import Quantity

SCHEMA = 1
COUNTS = ("parameters", "nonzeros", "macs", "macs_without_attention")
ACHIEVED = ("elements", "parameters", "nonzeros", "macs")

BESIDE = r"^[a-z]+/[^/\\]+\.[a-z0-9]+$"  # a file in a folder beside the report

Row = Mapping[str, Any]
Text = Annotated[str, Field(min_length=1)]
# Nothing that is measured is larger, and what follows from such numbers still has a value.
Number = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
WholeShare = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Correlation = Annotated[float, Field(ge=-1.001, le=1.001, allow_inf_nan=False)]  # to round-off
Described = Annotated[Quantity, BeforeValidator(Quantity.from_json)]
State = Literal["dense", "pruned", "recovered", "scratch"]
Count = Annotated[int, Field(ge=0, le=10**18)]


class Part(BaseModel):
    """An object that has every field without a default, no unknown one, and nothing that needs conversion."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Estimate(Part):
    """A metric with its interval; all three are null where it is undefined.

    floor: of a distance, that of real data to real data. warning: why it may mislead.
    """

    value: Number | None
    low: Number | None
    high: Number | None
    n: Count
    floor: "Estimate | None" = None
    warning: Text | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len({each is None for each in (self.value, self.low, self.high)}) > 1:
            raise ValueError("undefined in part")
        return self


class Latency(Part):
    """Milliseconds; ``low`` and ``high`` where they were measured."""

    median: Number
    p95: Number
    low: Number = 0.0
    high: Number = 0.0


class Counts(Part):
    """What a component or a model is made of."""

    parameters: Count
    nonzeros: Count
    macs: Count
    macs_without_attention: Count


class ComponentCost(Counts):
    """Of a component."""

    latency_ms: dict[str, Latency] = {}
    peak_memory_bytes: Count | None = None
    disk_bytes: Count | None = None


class Cost(Counts):
    """Of the whole model. dense_latency_ms: the dense model's, measured in turns with it."""

    latency_ms: dict[str, Latency]
    peak_memory_bytes: Count | None
    disk_bytes: Count | None
    compressed_bytes: Count | None = None
    dense_latency_ms: dict[str, Latency] = {}
    components: dict[str, ComponentCost]


class Sparsity(Part):
    """What was asked for, and the shares that went of the model that was given.

    given_pruned: its components that had been pruned before.
    """

    requested: Share | dict[str, Share] | None
    of: Text | None
    elements: Number | None
    parameters: Number | None
    nonzeros: Number | None
    macs: Number | None
    nominal: Number | None = None
    given_pruned: list[Text] = []


class Provenance(Part):
    """What made a row: how it was asked for, by which code, where and when.

    hardware: in words and numbers. job: of a scheduler, where there was one.
    """

    command: str
    version: Text
    commit: Text | None
    libraries: dict[Text, Text]
    hardware: dict[Text, str | int | None]
    date: Text
    job: dict[Text, Text] = {}


class Stability(Part):
    """How far two halves of a scorer's samples agree: Spearman by component/granularity; null without ranks.

    samples: how many were seen, ``of`` at most so many. halves: how many of them each half had.
    """

    samples: Count
    of: Count
    halves: Annotated[list[Count], Field(min_length=2, max_length=2)]
    spearman: dict[Text, Correlation | None]


class Evaluated(Part):
    """A row: one model, evaluated.

    conditions: what its numbers depend on beside the model; rows compare where these agree. control: its
    scorer is there to be beaten. layers: the removed share of each unit, in the network's order. stability:
    of scores that samples were drawn for. addresses: of what it was made from, the stage after each.
    """

    state: State
    task: Text
    model: Text
    scorer: Text | None
    granularity: Text | list[Text] | None
    budget: Text | None
    recovery: Text | None
    seed: Count
    sparsity: Sparsity
    metrics: dict[Text, Estimate]
    quantities: dict[Text, Described] = {}
    cost: Cost
    address: Text
    bypass: Text | None = None
    settings: dict[str, str] | None = None
    conditions: dict[Text, Text] = {}
    control: bool = False
    layers: dict[Text, WholeShare] = {}
    stability: Stability | None = None
    addresses: dict[Text, Text] = {}
    provenance: Provenance | None = None


class Strip(Part):
    """The pictures of one model in one file beside the report."""

    state: str
    label: str
    file: Annotated[str, Field(pattern=r"^pictures/[^/\\]+\.png$")]
    captions: Annotated[list[str], Field(min_length=1)]


class Recordings(Part):
    """The sounds of one model, a file each."""

    state: str
    label: str
    rate: Annotated[int, Field(ge=1, le=10**6)]
    files: Annotated[list[Annotated[str, Field(pattern=r"^sounds/[^/\\]+\.wav$")]], Field(min_length=1)]
    captions: list[str]


class Shown(Part):
    """The samples of one model in any other medium, a still and a file of the type ``kind`` each."""

    state: str
    label: str
    medium: Annotated[str, Field(pattern=r"^[a-z]+$")]
    heading: Text
    kind: Annotated[str, Field(pattern=r"^(image|audio|video)/[a-z0-9.+-]+$")]
    stills: Annotated[list[Annotated[str, Field(pattern=BESIDE)]], Field(min_length=1)]
    files: list[Annotated[str, Field(pattern=BESIDE)]] = []
    captions: list[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.stills) != len(self.captions) or len(self.files) not in (0, len(self.captions)):
            raise ValueError("not as many files as captions")
        return self


class PanelLine(Part):
    """A line over ``x``, and the band around it where there is one."""

    label: str
    x: list[Number]
    y: list[Number]
    low: list[Number] = []
    high: list[Number] = []
    family: str = ""
    state: State = "recovered"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.x) != len(self.y) or {len(self.low), len(self.high)} - {0, len(self.x)}:
            raise ValueError("not as many values as places")
        return self


class Panel(Part):
    """A drawing of lines, and a level across it."""

    title: str
    x_label: str
    y_label: str
    lines: list[PanelLine]
    level: Number | None = None
    level_label: str = ""


class Whole(Part):
    """A report. Its context is for other programs: all that is read here is whether it has ``jobs``."""

    version: Literal[1] = Field(alias="schema")
    rows: Annotated[list[Evaluated], Field(min_length=1)]
    pictures: list[Strip] = []
    sounds: list[Recordings] = []
    previews: list[Shown] = []
    curves: list[Panel] = []
    context: dict[str, Any] = {}


class NoReport(Refusal):
    """A file that holds something else."""


def check_row(row: Row) -> None:
    """Fail an assertion, naming the field, unless ``row`` has every field of the schema and no other."""
    try:
        Evaluated.model_validate(dict(row))
    except ValidationError as error:
        raise AssertionError(_first(error, "row")) from None


def read_report(path: Path) -> dict[str, Any]:
    """The content of a ``report.json``.

    Raises OSError or ValueError when it is missing or no JSON, NoReport when it holds anything else than a
    report, and another Refusal when a version of prunelab wrote it whose schema this one does not know.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise NoReport(f"{path} is no report: it is nested without end") from error
    version = report.get("schema") if isinstance(report, dict) else None
    if version != SCHEMA:
        told = version if isinstance(version, int) and abs(version) < 1000 else "of another kind"
        raise Refusal(f"{path} has schema {told}; this prunelab reads schema {SCHEMA}: write it again")
    try:
        Whole.model_validate(report)
    except ValidationError as error:
        raise NoReport(f"{path} is no report: {_first(error, 'its content')}; write it again") from None
    return dict(report)


def _first(error: ValidationError, whole: str) -> str:
    """Where the first thing is wrong, and what; not the value, which may be of any size."""
    wrong = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join((whole, *map(str, wrong['loc'])))}: {wrong['msg']}"
