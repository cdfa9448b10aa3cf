"""Settings that say what they take: named types, and the decorator of the classes that hold them.

Where a setting is declared, its type says everything that can be said of it alone; pydantic holds values
against that, when an object is made, and the command line does the same before anything is imported. What
relates several settings stays in ``__post_init__``. Imports nothing heavy.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform, get_type_hints, overload

import pydantic.dataclasses
from annotated_types import Ge, Gt, Le, Len, Lt, Predicate
from pydantic import AllowInfNan, ConfigDict, GetCoreSchemaHandler, Strict, StringConstraints, ValidationError
from pydantic_core import CoreSchema, core_schema

from prunelab.core.complaints import complaint
from prunelab.core.errors import Refusal

T = TypeVar("T")
# As written: a text is no number, true is no 1, and half a step is none. Numbers are finite.
CONFIG = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
MOST = 10**9  # of anything that is counted: beyond it lies a slip of the keyboard
LARGEST_SEED = 2**63 - 1
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, as file systems have them


@dataclasses.dataclass(frozen=True)
class Must:
    """What is said of a value that a type does not take, instead of the library's words."""

    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The type's own schema with one error."""
        words = {"words": self.words}
        return core_schema.custom_error_schema(
            handler(source), "setting", custom_error_message="{words}", custom_error_context=words
        )


def _is_place(text: str) -> bool:
    """Whether a file system could have such a path."""
    names = [len(name.encode(errors="surrogateescape")) for name in PurePath(text).parts]
    written = text.strip() == text and text.isprintable()
    return written and 0 < sum(names) <= LONGEST_PATH and max(names) <= LONGEST_NAME


def _is_word(text: str) -> bool:
    return len(text.split()) == 1


def _is_made(value: object) -> bool:
    return value is not None and not isinstance(value, str | int | float | Sequence | Mapping)


def _differ(values: Sequence[str]) -> bool:
    return len({*values}) == len(values)


HOW = "says how it runs"
Runtime = Annotated[T, HOW]  # a setting that decides no result: it stays out of every address

LATER = "came later"
Later = Annotated[T | None, LATER]  # None is as it was before there was the setting: it stays out, too

Count = Annotated[int, Strict(), Ge(1), Le(MOST)]
NonNegativeCount = Annotated[int, Strict(), Ge(0), Le(MOST)]
Several = Annotated[int, Strict(), Ge(2), Le(MOST)]
SeveralOrNone = Annotated[Literal[0] | Several, Must("is too few: at least 2, or 0 for none")]
Counts = Annotated[Sequence[Count], Len(1), Must("are not whole numbers from 1 on, such as [1,16]")]
Processes = Annotated[int, Strict(), Ge(1), Le(4096), Must("is not a number of processes: use 1 or more")]
Seed = Annotated[int, Strict(), Ge(0), Le(LARGEST_SEED)]

Number = Annotated[float, Strict(), AllowInfNan(False)]
Positive = Annotated[Number, Gt(0)]
NonNegative = Annotated[Number, Ge(0)]
Fraction = Annotated[Number, Ge(0), Le(1)]
Share = Annotated[Number, Ge(0), Lt(1)]
Agreement = Annotated[Number, Gt(0), Lt(1)]  # of ranks
Decay = Share  # of an average, per step
Betas = Annotated[Sequence[Decay], Len(2, 2), Must("are not two numbers in [0, 1), such as [0.9,0.999]")]

Text = Annotated[str, Len(1), Predicate(str.isprintable), Must("is not a text: give one, numbers in quotes")]
Word = Annotated[Text, Predicate(_is_word), Must("is not one word")]
Variable = Annotated[str, Predicate(str.isidentifier), Must("is no name of a variable")]
Place = Annotated[
    str, Predicate(_is_place), Must("is not the path of a file or folder: no line breaks, nothing around it")
]
Names = Annotated[
    Sequence[Text], Len(1), Predicate(_differ), Must("does not name things, each once: [one,two]")
]
Made = Annotated[Any, Predicate(_is_made), Must("is not a part: give a mapping with _target_")]
Weights = Literal["pretrained", "random"]
Floats = Literal["fp32", "bf16", "fp16"]
Device = Annotated[
    str,
    StringConstraints(pattern=r"^(cpu|mps|cuda(:\d{1,3})?)$"),
    Must("is no device: cpu, cuda, cuda:1 or mps"),
]


@overload
def settings(cls: type[T]) -> type[T]: ...
@overload
def settings(*, kw_only: bool = ..., known_as: str | None = ...) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(cls: type[Any] | None = None, *, kw_only: bool = False, known_as: str | None = None) -> Any:
    """A frozen dataclass whose fields are held against their types; Refusal for a value that does not fit.

    known_as: the dotted name that the class had where it stood at first; addresses keep it.
    """
    if cls is None:
        return functools.partial(settings, kw_only=kw_only, known_as=known_as)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=kw_only, config=CONFIG)(cls)
    made.known_as = known_as
    validated = made.__init__

    @functools.wraps(validated)
    def construct(self: Any, *values: Any, **named: Any) -> None:
        try:
            validated(self, *values, **named)
        except ValidationError as error:
            raise refusal(error, f"{cls.__name__}.", fields) from error

    fields = [field.name for field in dataclasses.fields(made)]
    made.__init__ = construct
    return made


def refusal(error: ValidationError, prefix: str, fields: Sequence[str] = ()) -> Refusal:
    """What was wrong in one line; the Refusal of a ``__post_init__`` as it is.

    fields: the names of what was given by its place.
    """
    first = error.errors(include_url=False)[0]
    place, *inside = first["loc"] or ("",)
    if isinstance(place, int) and place < len(fields):
        first["loc"] = (fields[place], *inside)
    inner = first.get("ctx", {}).get("error")
    return inner if isinstance(inner, Refusal) else Refusal(complaint(first, prefix))


def runtime(target: Any) -> frozenset[str]:
    """The arguments of a class or function that are declared as ``Runtime``."""
    return _declared(target, HOW)


def left_out(target: Any, given: Mapping[str, Any]) -> frozenset[str]:
    """Which of the settings given to a class or function stay out of addresses: see Runtime and Later."""
    nothing = {name for name in _declared(target, LATER) if given.get(name) is None}
    return runtime(target) | nothing


def _declared(target: Any, mark: str) -> frozenset[str]:
    """The arguments of a class or function whose type bears a mark."""
    holds = target if dataclasses.is_dataclass(target) or not inspect.isclass(target) else target.__init__
    try:
        hints = get_type_hints(holds, include_extras=True)
    except (NameError, TypeError):  # annotations that only a type checker can read
        return frozenset()
    return frozenset(name for name, hint in hints.items() if mark in getattr(hint, "__metadata__", ()))


def known_as(kind: Any, place: str) -> str:
    """What addresses call the class or function at ``place``: a class that was moved by its first name."""
    return str(vars(kind).get("known_as") or place) if inspect.isclass(kind) else place


def deciding(value: Any) -> dict[str, Any]:
    """The settings of a dataclass that decide its result, by name."""
    held = dataclasses.asdict(value)
    out = left_out(type(value), held)
    return {name: each for name, each in held.items() if name not in out}
