"""The safetensors files of one component and what their headers say: nothing else is read as weights."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from prunelab.core.errors import Refusal

FLOATS = ("F64", "F32", "F16", "BF16")  # what weights may be stored as
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class Stored:
    """A tensor as a header describes it. dtype: in safetensors' letters, such as BF16."""

    dtype: str
    shape: tuple[int, ...]
    file: str


def headers(folder: Path, stem: str) -> dict[str, Stored]:
    """Name -> tensor of the component in ``folder``, whose files are called ``stem``.

    Raises Refusal where there are no such files, where a file is no complete safetensors file, and where a
    shard is missing.
    """
    found = {}
    for file in _files(folder, stem):
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  it is no mapping
                    view = opened.get_slice(name)
                    found[name] = Stored(view.get_dtype(), tuple(view.get_shape()), file.name)
        except (SafetensorError, OSError) as error:
            raise Refusal(
                f"{file} is broken or incomplete ({error}): fetch it again (an interrupted download "
                "or a pointer of Git LFS looks like this), or save the component again"
            ) from error
    return found


def _files(folder: Path, stem: str) -> list[Path]:
    """One file, or the shards that an index names, as the libraries choose between them."""
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if index.is_file() and not (stem == "model" and single.is_file()):
        return _shards(index)
    if single.is_file():
        return [single]
    present = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in present if Path(name).suffix in PICKLES]
    if pickles:
        raise Refusal(
            f"{folder} holds {pickles[0]}, a pickle, which may run code when it is opened: where you "
            "trust it, give what save_pretrained(FOLDER, safe_serialization=True) of its library makes of it"
        )
    others = [name for name in present if name.endswith(".safetensors")]
    instead = f" (there is {others[0]}: rename it if it is meant)" if others else ""
    raise Refusal(f"{folder} has no weights: {single.name} is needed there{instead}")


def _shards(index: Path) -> list[Path]:
    try:
        content = json.loads(index.read_text("utf-8"))
        names = sorted(set(content["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(f"{index} is no index of shards ({error}): save the component again") from error
    if not all(isinstance(name, str) for name in names):
        raise Refusal(f"{index} is no index of shards (they have no names): save the component again")
    strange = [name for name in names if Path(name).name != name]
    if strange:
        raise Refusal(
            f"{index} names a shard outside of its folder, {strange[0]!r}: save the component again"
        )
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise Refusal(
            f"{index.parent} lacks {listing(missing)} of the {len(names)} shards that {index.name} names: "
            "fetch them, or save the component again"
        )
    return [index.parent / name for name in names]


def listing(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
