"""The name of an artifact: readable words and a hash of everything that changes the result."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence

HASH_DIGITS = 12
LONGEST_WORD = 80  # keeps an address within the 128 characters that W&B allows an artifact's name

JSON_VALUES = "null, booleans, numbers, strings, lists and mappings with string keys"


def address(stage: str, name: str, version: int, **inputs: object) -> str:
    """``STAGE-NAME-HASH``, for example ``score-latent_shift-tiny_t2i-3f2a9c01b7de``.

    The hash covers ``stage``, ``version`` (of the code that computes the artifact) and ``inputs``:
    nested JSON values, parents by their addresses. ``name`` is for people and is not hashed. Neither
    the order of keys nor list against tuple nor 1 against 1.0 matters.

    Raises TypeError for a value that JSON cannot hold (NaN included), naming where it sits.
    """
    record = {"stage": stage, "version": version, "inputs": canonical(inputs, "inputs")}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
    return "-".join(word for word in (_word(stage), _word(name), digest) if word)


def _word(text: str) -> str:
    """``text`` with everything that a folder name should not hold replaced by an underscore."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:LONGEST_WORD].strip("-._")


def canonical(value: object, where: str) -> object:
    """``value`` in the one JSON form that equal values share.

    Raises TypeError for what JSON cannot hold, naming ``where`` it sits.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return __number(value, where)
    if isinstance(value, Mapping):
        return {_key(key, where): canonical(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"{where} is a {type(value).__name__}; an address is made of {JSON_VALUES}")


def __number(value: float, where: str) -> int | float:
    if not math.isfinite(value):
        raise TypeError(f"{where} is {value}, which JSON cannot hold; use null for what is undefined")
    return int(value) if value == int(value) else float(value)


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return str(key)
    raise TypeError(f"{where} has the key {key!r}, a {type(key).__name__}; keys of an address are strings")
