"""Settings hold what their types say, from Python too, and say which of them decide no result."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pytest

from prunelab.core.errors import Refusal
from prunelab.core.settings import (
    Agreement,
    Betas,
    Count,
    Later,
    Number,
    Runtime,
    deciding,
    known_as,
    left_out,
    runtime,
    settings,
)  # fmt: skip


@settings
class Knobs:
    """Some."""

    kinds: ClassVar[tuple[str, ...]] = ("a",)

    betas: Betas
    times: Count = 1
    scale: Number = 1.0
    kind: Literal["a", "b"] = "a"
    device: Runtime[str] = "cpu"

    def __post_init__(self) -> None:
        if self.times == 7:
            raise Refusal("seven is never right")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"times": 0}, "Knobs.times=0 is too small: at least 1"),
        ({"times": True}, "Knobs.times=true is not a whole number"),
        ({"times": 1.0}, "Knobs.times=1.0 is not a whole number"),
        ({"scale": math.nan}, "Knobs.scale=nan is not a number"),
        ({"scale": False}, "Knobs.scale=false is not a number"),
        ({"kind": "c\n"}, r"Knobs.kind='c\\n' is unknown: choose from a, b"),
        ({"betas": [0.9]}, "Knobs.betas=[0.9] are not two numbers in [0, 1), such as [0.9,0.999]"),
        ({"other": 1}, "Knobs.other=1 is unknown there"),
        ({"times": 7}, "seven is never right"),
        ({"kind": "x" * 500}, f"Knobs.kind={'x' * 77}... is unknown: choose from a, b"),
    ],
)
def test_what_does_not_fit_is_one_line(given: dict[str, Any], line: str) -> None:
    with pytest.raises(Refusal) as refusal:
        Knobs(**{"betas": [0.9, 0.99], **given})
    assert str(refusal.value) == line.replace("\\\\", "\\")


def test_what_fits_stays_as_it_is() -> None:
    made = Knobs((0.9, 0.99), scale=2)
    assert (made.betas, made.times, made.scale) == ((0.9, 0.99), 1, 2.0)
    assert replace(made, times=3).times == 3
    assert made == Knobs((0.9, 0.99), scale=2)


def test_how_it_runs_is_declared_and_not_guessed_from_a_name() -> None:
    @dataclass
    class Own:
        device: str = "cpu"
        checkpoint_every: int = 1

    def load(path: str, device: Runtime[str] = "cpu") -> None: ...

    assert runtime(Knobs) == {"device"}
    assert runtime(Own) == frozenset()
    assert runtime(load) == {"device"}
    assert "device" not in deciding(Knobs((0.9, 0.99)))


def test_a_setting_that_came_later_is_in_addresses_where_it_says_something() -> None:
    @settings
    class Grown:
        steps: Count = 1
        stable: Later[Agreement] = None

    assert deciding(Grown(2)) == {"steps": 2}
    assert deciding(Grown(2, 0.5)) == {"steps": 2, "stable": 0.5}
    assert left_out(Grown, {"steps": 2, "stable": None}) == {"stable"}
    with pytest.raises(Refusal, match="stable=0"):
        Grown(2, 0.0)


def test_a_class_that_was_moved_keeps_its_first_name_in_addresses_and_what_is_made_of_it_does_not() -> None:
    @settings(known_as="first.place.Moved")
    class Moved:
        steps: Count = 1

    class Own(Moved):
        """Another class, with results of its own."""

    assert known_as(Moved, "new.place.Moved") == "first.place.Moved"
    assert known_as(Own, "mine.Own") == "mine.Own"
    assert known_as(Knobs, "here.Knobs") == "here.Knobs"
    assert known_as(len, "builtins.len") == "builtins.len"
    assert Moved(steps=2).steps == 2
