"""What went where: a pixel per unit, dark where it is gone, and the same in words."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from prunelab.report.given import Given
from prunelab.report.sections.layer_map import html

LAYERS = {"denoiser/down.0#head": 0.0, "denoiser/up.0#head": 1.0, "denoiser/up.0#neuron": 0.5}


def test_a_strip_per_model_component_and_granularity(row: Callable[..., dict[str, Any]]) -> None:
    rows = [row("dense"), *(row("pruned", scorer, seed=seed) for scorer in "ab" for seed in (0, 1))]
    for one in rows[1:]:
        one["layers"] = LAYERS
    page = html(Given(rows))
    strips = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', page)
    assert len(strips) == 4, "two scorers, two granularities, one seed"
    assert strips[0][1] == "a: 50.0 % of a unit on average, most of up.0 (100.0 %)"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(strips[0][0]))))
    assert pixels.shape == (1, 2, 3)
    assert pixels[0, 0].sum() > 3 * pixels[0, 1].sum(), "dark is gone"
    assert "head units of the denoiser" in page


def test_rows_that_do_not_say_have_no_map(rows: list[dict[str, Any]]) -> None:
    assert html(Given(rows)) == ""
