"""Addresses: equal inputs share one, different inputs do not, non-JSON is refused."""

import hashlib
import json
import re

import pytest

from prunelab.artifacts import address


def test_readable_name_and_twelve_hex_digits() -> None:
    made = address("score", "latent_shift-tiny_t2i", 1, seed=0)
    assert re.fullmatch(r"score-latent_shift-tiny_t2i-[0-9a-f]{12}", made)


def test_hash_is_of_the_canonical_json() -> None:
    text = '{"inputs":{"a":[1,null,true,"x"],"b":0.5},"stage":"score","version":3}'
    assert json.loads(text)["inputs"]["b"] == 0.5
    expected = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert address("score", "n", 3, b=0.5, a=(1, None, True, "x")).rsplit("-", 1)[1] == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": (1, 2), "x": 1}}),
        ({"sparsity": 1.0}, {"sparsity": 1}),
        ({"sparsity": 0.30}, {"sparsity": 3e-1}),
        ({"x": -0.0}, {"x": 0.0}),
    ],
)
def test_equal_inputs_share_an_address(one: dict[str, object], other: dict[str, object]) -> None:
    assert address("prune", "n", 1, **one) == address("prune", "n", 1, **other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {"a": 0}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 0.1 + 0.2}, {"a": 0.3}),
        ({"a": 1}, {"b": 1}),
        ({"a": [[1], [2]]}, {"a": [[1, 2]]}),
    ],
)
def test_different_inputs_do_not(one: dict[str, object], other: dict[str, object]) -> None:
    assert address("prune", "n", 1, **one) != address("prune", "n", 1, **other)


def test_stage_and_version_are_hashed_and_the_name_is_not() -> None:
    def digest(stage: str, name: str, version: int) -> str:
        return address(stage, name, version, seed=0)[-12:]

    assert digest("score", "a", 1) == digest("score", "b", 1)
    assert len({digest("score", "a", 1), digest("score", "a", 2), digest("prune", "a", 1)}) == 3


@pytest.mark.parametrize("name", ["../../etc", "a b/c:d", "ümlaut", "x" * 500, "", "...", "a\nb"])
def test_any_name_becomes_one_folder_name(name: str) -> None:
    made = address("score", name, 1)
    assert re.fullmatch(r"score(-[A-Za-z0-9_][A-Za-z0-9_.-]*)?-[0-9a-f]{12}", made)
    assert len(made) <= 128


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), float("nan"), float("inf"), 1j, {1: 2}])
def test_what_json_cannot_hold_is_a_type_error_that_says_where(value: object) -> None:
    with pytest.raises(TypeError, match=r"inputs\.outer\[1\]"):
        address("score", "n", 1, outer=[0, value])
