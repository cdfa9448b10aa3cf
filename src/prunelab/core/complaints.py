"""What is said, in one line, of a setting that does not fit its type."""

from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 80  # characters of a value that is quoted
# pydantic's kinds of errors -> what is wrong and what would work, with what the error knows.
WORDS = {
    "bool_type": "is not true or false",
    "dict_type": "is not a mapping: {{key:value}}",
    "finite_number": "is not a number",
    "float_type": "is not a number",
    "greater_than": "is too small: it must be above {gt}",
    "greater_than_equal": "is too small: at least {ge}",
    "int_type": "is not a whole number",
    "less_than": "is too large: it must be below {lt}",
    "less_than_equal": "is too large: at most {le}",
    "list_type": "is not a list: [one,two]",
    "literal_error": "is unknown: choose from {expected}",
    "mapping_type": "is not a mapping: {{key:value}}",
    "missing": "is missing: give it a value",
    "none_required": "must be null",
    "sequence_str": "is not a list: [one,two]",
    "string_type": "is not a text: put numbers in quotes",
    "too_long": "is too long: at most {max_length}",
    "too_short": "is too short: at least {min_length}",
    "unexpected_keyword_argument": "is unknown there",
}


def complaint(error: Mapping[str, Any], prefix: str = "") -> str:
    """``KEY=VALUE is ...: REMEDY`` from one of pydantic's errors; ``prefix`` stands before the key."""
    key = f"{prefix}{'.'.join(map(str, error['loc']))}".rstrip(".")
    known = {**error.get("ctx", {})}
    if error["type"] == "literal_error":
        known["expected"] = str(known["expected"]).replace("'", "").replace(" or ", ", ")
    words = WORDS.get(error["type"], "{msg}" if error["type"] != "setting" else "{words}")
    said = words.format(**known, msg=f"does not fit: {error['msg']}")
    return f"{key} {said}" if error["type"] == "missing" else f"{key}={shown(error['input'])} {said}"


def shown(value: Any) -> str:
    """A value as the command line would say it, shortened; what cannot be printed is escaped."""
    text = _written(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(_written, value)) + "]"
    text = str(value)
    return text if text.strip() and text.isprintable() else repr(text)
