"""Observing chunk by chunk: sums and rows are those of a plain loop, whatever runs them."""

import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.engine.hardware import Hardware
from prunelab.engine.observe import collect, observe


class Noise:
    """Chunk c has 3 rows of noise, of which the last chunk lacks some; a statistic only some chunks give."""

    def __init__(self, rows: int) -> None:
        self.rows, self.chunks = rows, -(-rows // 3)
        self.seen: list[int] = []
        self.places: list[str] = []

    def to(self, device: torch.device) -> None:
        self.places.append(str(device))

    def chunk(self, number: int) -> Tensor:
        return normal((2,), 0, range(3 * number, min(3 * number + 3, self.rows)), "noise")

    def observe(self, chunk: int) -> dict[str, Tensor]:
        self.seen.append(chunk)
        odd = {"odd": torch.ones(())} if chunk % 2 else {}
        return {"sum": self.chunk(chunk).sum(dim=0), **odd}


class Rows(Noise):
    """As Noise, but handing out the rows themselves, and whether gradients are off."""

    def observe(self, chunk: int) -> dict[str, Tensor]:
        rows = self.chunk(chunk)
        return {"rows": rows, "number": torch.full((len(rows),), chunk)}


def test_sums_are_those_of_a_loop_in_float64() -> None:
    noise = Noise(11)
    sums = observe(noise, Hardware(), "test")
    expected = torch.stack([noise.chunk(c).sum(dim=0).double() for c in range(4)]).sum(dim=0)
    assert noise.seen == [0, 1, 2, 3]
    assert sums["sum"].dtype == torch.float64
    assert torch.equal(sums["sum"], expected)
    assert sums["odd"].item() == 2
    assert noise.places[-1] == "cpu"


def test_a_small_addend_is_not_lost_in_a_large_sum() -> None:
    class Uneven(Noise):
        def observe(self, chunk: int) -> dict[str, Tensor]:
            return {"sum": torch.tensor(1.0 if chunk == 0 else 2.0**-30)}

    assert observe(Uneven(9), Hardware(), "test")["sum"].item() == 1 + 2**-29


def test_rows_come_in_the_order_of_the_chunks() -> None:
    collected = collect(Rows(8), Hardware(), "test")
    assert torch.equal(collected["rows"], normal((2,), 0, range(8), "noise"))
    assert collected["number"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_gradients_can_be_taken_inside() -> None:
    """Scorers that differentiate run under the same loop."""

    class Squares(Noise):
        def observe(self, chunk: int) -> dict[str, Tensor]:
            with torch.enable_grad():
                weight = torch.full((2,), 3.0, requires_grad=True)
                (weight**2 * self.chunk(chunk).sum(dim=0)).sum().backward()
            assert weight.grad is not None
            return {"gradient": weight.grad}

    squares = Squares(5)
    gradient = observe(squares, Hardware(), "test")["gradient"]
    torch.testing.assert_close(gradient, 6 * normal((2,), 0, range(5), "noise").sum(dim=0).double())
