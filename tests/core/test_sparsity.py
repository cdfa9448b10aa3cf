"""Sparsity: one share or named ones."""

from typing import Any

import pytest

from prunelab.core.errors import Refusal
from prunelab.core.sparsity import Sparsity, whole


def test_one_share_is_of_everything_and_named_ones_of_their_names() -> None:
    one, named = Sparsity(0.3, "macs"), Sparsity({"denoiser": 0.5, "vae": 0})
    assert [one.share(name) for name in ("denoiser", "vae")] == [0.3, 0.3]
    assert [named.share(name) for name in ("denoiser", "vae", "text_encoder")] == [0.5, 0.0, 0.0]
    assert one.of_all("budget=x", "budget=y") == 0.3
    assert named.of_each(["vae", "denoiser"], "components") == {"vae": 0.0, "denoiser": 0.5}


def test_a_part_and_what_is_left_keep_the_kind() -> None:
    one, named = Sparsity(0.3, "macs"), Sparsity({"a": 0.5, "b": 0.1}, "macs")
    assert (one.part(1 / 3), named.part(0.5)) == (
        Sparsity(0.3 * (1 / 3), "macs"),
        Sparsity({"a": 0.25, "b": 0.05}, "macs"),
    )
    assert one.part(1).asked == 0.3
    assert (one.without(["a"]), named.without(["a"])) == (one, Sparsity({"b": 0.1}, "macs"))
    assert named.without(["a", "b"]).share("a") == 0.0


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        *((asked, r"is not a share in \[0, 1\)") for asked in (1.0, -0.1, True, "0.3", None, float("nan"))),
        ({"denoiser": 1.5}, r"sparsity=1\.5 of denoiser is not a share in \[0, 1\): 0\.3 removes 30 %"),
    ],
)
def test_what_is_no_share_is_refused(asked: Any, line: str) -> None:
    with pytest.raises(Refusal, match=line):
        Sparsity(asked)


def test_names_that_nobody_knows_and_names_where_there_is_one_share_are_refused() -> None:
    named = Sparsity({"denoisr": 0.5})
    with pytest.raises(Refusal, match="sparsity names 'denoisr': components are denoiser, vae"):
        named.of_each(["denoiser", "vae"], "components")
    with pytest.raises(Refusal, match="budget=x takes one sparsity for all; for one each use budget=y"):
        named.of_all("budget=x", "budget=y")


def test_counts_are_not_cut_by_the_products_round_off() -> None:
    assert int(100 * 0.29) == 28
    assert (whole(100, 0.29), whole(10, 0.29), whole(7, 0.0)) == (29, 2, 0)
