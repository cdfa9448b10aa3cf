"""Model folders: where they lie, and what their content hashes to."""

import hashlib
from pathlib import Path

from prunelab.core.contents import files, pipeline, sha256
from prunelab.core.errors import Refusal
from prunelab.core.own_folders import EMBEDDED

CARD = "README.md"


def locate(path: str | None, embedded: str | None = None) -> Path:
    """The folder ``path``, or where none is given the ``embedded`` model of the package.

    Raises Refusal when there is no diffusers model there.
    """
    if path is None and embedded is None:
        raise Refusal("this model has no weights of its own: give path=FOLDER of a diffusers model")
    return pipeline(EMBEDDED / str(embedded) if path is None else path)


def content_hash(folder: Path, weights: str) -> str:
    """sha256 over names and contents of the folder's files; of the JSON files alone for random weights.

    Links count as what they lead to: a folder and a cache of the hub that links its files hash alike. What
    its card says of a model does not make it another.
    """
    digest = hashlib.sha256(weights.encode())
    for file in files(folder):
        if file == folder / CARD:
            continue
        if weights == "pretrained" or file.suffix == ".json":
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()
