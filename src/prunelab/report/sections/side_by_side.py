"""Samples of the same prompts and seeds, models below each other."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import groupby

import numpy as np
from markupsafe import Markup

from prunelab.core.image_files import opened_image, png
from prunelab.core.previews import Preview
from prunelab.report.given import Given
from prunelab.report.markup import piece

TITLE, PLACE = "Samples side by side", 50
WIDEST = 256  # pixels of a still in the page; the files beside it keep every pixel
OPEN = 5  # models that stand open


def html(given: Given) -> Markup:
    """A part per heading: the first models, and the others folded."""
    headings = dict.fromkeys(one.heading for one in given.previews)
    parts = []
    for heading in headings:
        own = [one for one in given.previews if one.heading == heading]
        first = _chosen(own)
        parts += [piece("subtitle", words=heading), _drawn(first)]
        others = [one for one in own if not any(one is each for each in first)]
        if others:
            summary = f"{len(others)} more models"
            parts.append(piece("fold", summary=summary, content=_drawn(others), open=False))
    return Markup("\n").join(parts)


def _chosen(previews: Sequence[Preview]) -> list[Preview]:
    """Those that stand open: the dense model's, and some of the finished models'."""
    if len(previews) <= OPEN:
        return list(previews)
    states: dict[str, list[Preview]] = {}
    for one in previews:
        states.setdefault(one.state, []).append(one)
    dense = states.pop("dense", [])[:1]
    return [*dense, *_spread(states, OPEN - len(dense))]


def _spread(states: Mapping[str, Sequence[Preview]], most: int) -> list[Preview]:
    """The finished state's models, evenly spread over their order."""
    last = states.get("recovered") or states.get("pruned") or next(iter(states.values()))
    places = np.unique(np.linspace(0, len(last) - 1, num=most).round().astype(int))
    return [last[place] for place in places]


def _drawn(previews: Sequence[Preview]) -> Markup:
    """Models below each other, the same prompts and seeds beside each other; as images, audio or video."""
    grids = []
    groups = groupby(previews, key=lambda one: (one.heading, one.shown_as, tuple(one.captions)))
    for (heading, shown_as, captions), group in groups:
        rows = [(one.state, one.label, _samples(one)) for one in group]
        grids.append(piece("samples", heading=heading, shown_as=shown_as, captions=captions, rows=rows))
    return Markup("\n").join(grids)


def _samples(one: Preview) -> list[tuple[str, str]]:
    """Each sample's still and, where it has one, the file that is played, as data URIs."""
    played = [_uri(one.kind, content) for content in one.played] or [""] * len(one.stills)
    return list(zip(map(_inline, one.stills), played, strict=True))


def _inline(still: bytes) -> str:
    """A PNG, smaller where it is larger than the page needs."""
    with opened_image(BytesIO(still)) as image:
        if max(image.size) <= WIDEST:
            return _uri("image/png", still)
        image.thumbnail((WIDEST, WIDEST))
        return _uri("image/png", png(np.atleast_3d(np.asarray(image))))


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
