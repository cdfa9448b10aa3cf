"""What is computed once for each argument, and remembered by the process."""

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def once(function: Callable[P, T]) -> Callable[P, T]:
    """``functools.cache`` typed as ``function`` is: mypy takes no class for the Hashable that it asks for."""
    return cast("Callable[P, T]", cache(function))
