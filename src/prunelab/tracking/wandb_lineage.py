"""Lineage: every stage's result as a W&B artifact of its own, linked to those that it was made from.

An artifact is known by its address alone: its one entry is a reference to it, so that whoever names an
address, the stage that made it or one that reads it, names the same version. Declared by what is written
down, never looked up: online nothing waits for an answer, and offline the links are there for ``wandb sync``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wandb

ADDRESS = re.compile(r"^([a-z_]+)-(?:.+-)?[0-9a-f]{12}$")
LONGEST = 128  # characters of an artifact's name


def never_ask(run: wandb.Run) -> None:
    """Let a run declare artifacts, and tables, which are such, without waiting for W&B's answer.

    What it would ask is whether an artifact of that name has another type: here one follows from the other.
    The rest is for who waits for an artifact to be there, which nobody does.
    """
    vars(run)["_assert_can_log_artifact"] = lambda artifact: None
    vars(run)["_public_api"] = lambda overrides=None: _NobodyWaits()


class _NobodyWaits:
    """In the place of wandb's door to its server, as far as a run that logs an artifact uses it."""

    def _set_artifact_save_handle(self, artifact: object, handle: object) -> None:
        """Nothing."""


def use(run: wandb.Run, inputs: Mapping[str, str]) -> None:
    """Say what a run reads: role -> address, or the fingerprint of a model that no stage made."""
    for parent in dict.fromkeys(inputs.values()):
        # run.use_artifact does the same, refuses to offline, and waits for the answer otherwise
        run._log_artifact(_referring(parent, {}), use_after_commit=True)


def make(run: wandb.Run, output: str, metadata: Mapping[str, Any], folder: Path | None, models: bool) -> None:
    """Say what a run made, and upload the model in ``folder`` where ``models`` are wanted in W&B, too."""
    import wandb

    place = {} if folder is None else {"folder": str(folder)}
    run.log_artifact(_referring(output, {**metadata, **place}))
    if models and folder is not None and (folder / "model").is_dir():
        copied = wandb.Artifact(f"{output}-model"[:LONGEST], type="model", metadata={"address": output})
        copied.add_dir(str(folder / "model"), policy="immutable")
        run.log_artifact(copied)


def _referring(address: str, metadata: dict[str, Any]) -> wandb.Artifact:
    import wandb

    stage = ADDRESS.match(address)
    name = address if stage else "model-" + re.sub(r"[^A-Za-z0-9_.-]+", "_", address)
    artifact = wandb.Artifact(name[:LONGEST], type=stage[1] if stage else "model", metadata=metadata)
    artifact.add_reference(f"prunelab:{address}", name="address", checksum=False)
    return artifact
