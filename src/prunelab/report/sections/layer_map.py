"""What went where: the removed share of every unit along the network, models below each other."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from prunelab.core.image_files import png
from prunelab.report.given import Given
from prunelab.report.labels import label, varying
from prunelab.report.markup import own, piece
from prunelab.report.numbers import share
from prunelab.report.quoting import printable
from prunelab.report.schema import Row

TITLE, PLACE = "What went where", 40
OPEN = 12  # models that stand open
# From nothing to everything, as `.scale` in page.css has it: dark is gone.
STOPS = np.array([[232, 238, 245], [59, 110, 165], [16, 40, 74]], dtype=float)
KEY = own('<p class="note">Removed share of each unit: 0 % <span class="scale"></span> 100 %.</p>')


def html(given: Given) -> Markup:
    """A map per component and granularity, of every pruned model of the first seed."""
    rows = [row for row in given.rows if row.get("layers") and row["state"] == "pruned"]
    if not rows:
        return Markup()
    first = [row for row in rows if row["seed"] == min(each["seed"] for each in rows)]
    kinds = list(dict.fromkeys(_kind(unit) for row in first for unit in row["layers"]))
    fields = [field for field in varying(given.rows) if field != "seed"]
    maps = [_map(kind, first, fields) for kind in kinds]
    shown = sum(len(each["strips"]) for each in maps)
    drawn = Markup("\n").join(piece("maps", **each) for each in maps)
    summary = f"{shown} strip{'s' if shown > 1 else ''}, dark is gone"
    return Markup("\n").join([piece("fold", summary=summary, content=drawn, open=shown <= OPEN), KEY])


def _kind(unit: str) -> tuple[str, str]:
    """Component and granularity of ``component/path#granularity``."""
    return unit.partition("/")[0], unit.rpartition("#")[2]


def _map(kind: tuple[str, str], rows: Sequence[Row], fields: Sequence[str]) -> dict[str, Any]:
    """Models of one component and granularity: a strip each, between the units at the network's ends."""
    units = list(dict.fromkeys(unit for row in rows for unit in row["layers"] if _kind(unit) == kind))
    strips = [_strip(row, units, fields) for row in rows if not row["layers"].keys().isdisjoint(units)]
    component, granularity = map(printable, kind)
    title = f"{granularity} units of the {component}"
    return {"title": title, "first": _path(units[0]), "last": _path(units[-1]), "strips": strips}


def _path(unit: str) -> str:
    return printable(unit.partition("/")[2].rpartition("#")[0] or unit)


def _strip(row: Row, units: Sequence[str], fields: Sequence[str]) -> tuple[str, str, str]:
    """A model's label, its strip as a data URI, and what that shows in words."""
    shares = np.array([row["layers"].get(unit, 0.0) for unit in units])
    name = label(row, fields) or row["scorer"] or row["state"]
    most = int(shares.argmax())
    told = (
        f"{printable(name)}: {share(float(shares.mean()))} of a unit on average, most of {_path(units[most])}"
    )
    uri = base64.b64encode(png(_coloured(shares))).decode()
    return printable(name), f"data:image/png;base64,{uri}", f"{told} ({share(float(shares[most]))})"


def _coloured(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(1, units, 3): a pixel per unit."""
    places = np.linspace(0, 1, len(STOPS))
    channels = [np.interp(shares, places, STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)[None]
