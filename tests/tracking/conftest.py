"""No account of W&B's anywhere, and a background process of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prunelab.tracking.wandb_service import put_away


@pytest.fixture
def own_service() -> Iterator[None]:
    put_away()  # of a run that another file's tests logged
    yield
    put_away()


@pytest.fixture(autouse=True)
def no_account(own_service: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE", "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
