"""What identifies weights."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of named tensors: names and bytes."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
