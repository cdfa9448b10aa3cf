"""Two processes against one."""

from pathlib import Path

import pytest
import torch
from processes import run_ranks
from safetensors.torch import load_file

from prunelab.core.draws import normal
from prunelab.engine import ranks

JOB = Path(__file__).with_name("two_ranks_job.py")


def start(folder: Path, processes: int) -> dict[str, torch.Tensor]:
    """Run the job of ``two_ranks_job.py`` on so many processes; the tensors it wrote."""
    said = run_ranks(JOB, [str(folder)], folder, processes)
    assert said == ""
    return load_file(folder / "result.safetensors")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What two processes made of the job."""
    return start(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one process made of it."""
    return start(tmp_path_factory.mktemp("one"), 1)


def test_two_ranks_observe_as_one_does(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    """Sums to float64 round-off, also of what one batch alone gave; rows exactly, whatever their type."""
    sums = {name for name in one if name.startswith("sums.")}
    rows = {name for name in one if name.startswith(("rows.", "few."))}
    assert (len(sums), len(rows)) == (2, 8)
    for name in sums:
        torch.testing.assert_close(two[name], one[name], rtol=1e-14, atol=1e-14)
    for name in rows:
        assert two[name].dtype == one[name].dtype
        assert torch.equal(two[name], one[name])
    assert torch.equal(one["rows.rows"], normal((2, 3), 0, range(9), "rows"))


def test_two_ranks_train_as_one_does(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    moved = [name for name in one if name.startswith(("trained.", "sharded."))]
    assert len(moved) == 10
    for name in moved:
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-6)
    for name in ("logged", "sharded_logged"):
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(one[name], one[name.replace("sharded", "trained")]) for name in moved)


def test_two_ranks_exchange_what_they_hold(two: dict[str, torch.Tensor]) -> None:
    assert two["gathered"].tolist() == [0, 10]
    assert two["broadcast"].tolist() == [7]
    assert two["summed"].dtype == torch.float64
    assert two["summed"].tolist() == [1.0, 1.0 + 2**-40]  # float32 would lose the small part


def test_sums_of_small_tensors_are_exchanged_together(two: dict[str, torch.Tensor]) -> None:
    sizes = {"a": (2, 2), "b": (), "c": (0, 3), "d": (3, 3), "e": (2,), "f": (5,), "g": (1,)}
    for place, (name, size) in enumerate(sizes.items()):
        wanted = torch.full(size, 2 * 10.0**place + 1, dtype=torch.float64)
        assert torch.equal(two[f"bucket.{name}"], wanted), name
    assert two["exchanges"].item() == 4  # a to c, d alone, e and f, g


def test_all_ranks_stop_at_one_step_when_one_is_told_to(two: dict[str, torch.Tensor]) -> None:
    """The first restart is from the checkpoint that was due, the second from the one made at the signal."""
    assert two["starts"].tolist() == [0, 4, 6]
    assert two["sharded_starts"].tolist() == [0, 4, 6]


def test_one_process_needs_no_group() -> None:
    assert (ranks.rank(), ranks.world()) == (0, 1)
    assert ranks.broadcast({"a": 1}) == {"a": 1}
    assert ranks.gather("x") == ["x"]
    given = torch.tensor([1.0, 2.0])
    summed = ranks.sum_over_ranks({"b": given, "a": given})
    assert list(summed) == ["a", "b"]
    assert torch.equal(summed["b"], given.double())
    ranks.barrier()
