"""``report.html``: one file with everything in it, for light and dark screens, phones and paper."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from prunelab.core.previews import Preview
from prunelab.report.curves import Curve
from prunelab.report.given import Given
from prunelab.report.markup import environment, own
from prunelab.report.schema import Row
from prunelab.report.sections import sections

TITLE = "title"  # the one entry of the context that the page shows as its heading


def render(
    rows: Sequence[Row],
    previews: Sequence[Preview],
    curves: Sequence[Curve],
    context: Mapping[str, object],
) -> str:
    """The page's HTML. It refers to nothing outside itself."""
    given = Given(rows, previews, curves)
    drawn = {section.TITLE: section.html(given) for section in sections()}
    return (
        environment()
        .get_template("page.html.jinja")
        .render(
            title=context.get(TITLE, "prunelab report"),
            facts={key: _plain(value) for key, value in context.items() if key != TITLE},
            style=_beside("page.css"),
            script=_beside("page.js"),
            sections={title: html for title, html in drawn.items() if html},
        )
    )


def _beside(name: str) -> Markup:
    return own((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
