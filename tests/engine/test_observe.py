"""Observing batch by batch: sums and rows are those of a plain loop, whatever runs them."""

import gc
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunelab.core.draws import normal
from prunelab.core.observation import EARLY, Observation, Sums
from prunelab.engine.observe import collect, observe
from prunelab.engine.placement import placed
from prunelab.engine.trainer import trainer
from prunelab.engine.watching import Watching
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")


class Moved:
    """A model of one weight that notes where it was brought."""

    def __init__(self) -> None:
        self.components = {"denoiser": nn.Linear(1, 1)}
        self.places: list[str] = []

    def to(self, device: torch.device) -> None:
        self.places.append(device.type)
        self.components = {"denoiser": nn.Linear(1, 1, device=device)}


def noise(rows: range) -> Tensor:
    return normal((2,), 0, rows, "noise")


def observation(rows: int, gives: Callable[[range], Mapping[str, Tensor]]) -> Observation:
    """Rows seen three at a time, which is fewer in the last batch."""
    return Observation(Moved(), rows, 3, lambda own, device: gives(own))  # type: ignore[arg-type]


def test_sums_are_those_of_a_loop_in_float64() -> None:
    """A statistic may come from some of the batches alone."""
    seen = list[range]()

    def gives(rows: range) -> dict[str, Tensor]:
        seen.append(rows)
        return {"sum": noise(rows).sum(dim=0), **({"odd": torch.ones(())} if rows.start % 2 else {})}

    sums = observe(observation(11, gives), Hardware(), "test")
    batches = [range(3), range(3, 6), range(6, 9), range(9, 11)]
    expected = torch.stack([noise(rows).sum(dim=0).double() for rows in batches]).sum(dim=0)
    assert seen == batches
    assert sums["sum"].dtype == torch.float64
    assert torch.equal(sums["sum"], expected)
    assert sums["odd"].item() == 2


def test_a_small_addend_is_not_lost_in_a_large_sum() -> None:
    sums = observe(
        observation(9, lambda rows: {"sum": torch.tensor(2.0**-30 if rows.start else 1.0)}),
        Hardware(),
        "test",
    )
    assert sums["sum"].item() == 1 + 2**-29


def test_statistics_of_a_few_elements_are_added_in_their_places() -> None:
    """Sparse along the elements: row i counts to element i // 2 of five, the last of which is never seen."""

    def gives(rows: range) -> dict[str, Tensor]:
        index = torch.tensor([[row // 2 for row in rows]])
        return {"sum": torch.sparse_coo_tensor(index, noise(rows), (5, 2), check_invariants=True)}

    sums = observe(observation(8, gives), Hardware(), "test")
    expected = [*noise(range(8)).double().reshape(4, 2, 2).sum(dim=1), torch.zeros(2, dtype=torch.float64)]
    assert not sums["sum"].is_sparse
    torch.testing.assert_close(sums["sum"], torch.stack(expected))


def test_what_is_handed_in_is_left_alone() -> None:
    own = torch.ones(2, dtype=torch.float64)
    assert observe(observation(6, lambda rows: {"sum": own}), Hardware(), "test")["sum"].tolist() == [2, 2]
    assert own.tolist() == [1, 1]


def test_sums_of_the_first_half_are_kept_apart() -> None:
    """Also of what the second half lacks."""

    def gives(rows: range, device: torch.device) -> dict[str, Tensor]:
        return {"sum": noise(rows).sum(dim=0), **({} if rows.start else {"odd": torch.ones(())})}

    sums = observe(Observation(Moved(), 8, 2, gives, cut=4), Hardware(), "test")  # type: ignore[arg-type]
    batches = [noise(range(i, i + 2)).sum(dim=0).double() for i in (0, 2, 4, 6)]
    assert torch.equal(sums[f"{EARLY}sum"], batches[0] + batches[1])
    assert torch.equal(sums["sum"], batches[0] + batches[1] + batches[2] + batches[3])
    sums["odd"] += 1
    assert sums[f"{EARLY}odd"].item() == 1


def test_without_halves_there_are_none_also_of_those_that_a_scorer_has_made() -> None:
    def gives(rows: range, device: torch.device) -> dict[str, Tensor]:
        return {"sum": torch.ones(()), f"{EARLY}own": torch.ones(())}

    sums = observe(Observation(Moved(), 8, 2, gives, cut=4), Hardware(halves=False), "test")  # type: ignore[arg-type]
    assert sums == {"sum": torch.tensor(4.0)}


def test_rows_come_in_their_order() -> None:
    collected = collect(
        observation(8, lambda rows: {"rows": noise(rows), "number": torch.full((len(rows),), rows.start)}),
        Hardware(),
        "test",
    )
    assert torch.equal(collected["rows"], noise(range(8)))
    assert collected["number"].tolist() == [0, 0, 0, 3, 3, 3, 6, 6]


def test_gradients_are_off_and_can_be_taken() -> None:
    """Scorers that differentiate run under the same loop."""

    def gives(rows: range) -> dict[str, Tensor]:
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            weight = torch.full((2,), 3.0, requires_grad=True)
            (weight**2 * noise(rows).sum(dim=0)).sum().backward()
        assert weight.grad is not None
        return {"gradient": weight.grad}

    gradient = observe(observation(5, gives), Hardware(), "test")["gradient"]
    torch.testing.assert_close(gradient, 6 * noise(range(5)).sum(dim=0).double())


def test_hooks_add_up() -> None:
    sums = Sums()
    for value in (1.0, 2.0):
        sums.add("a", torch.tensor(value))
    assert sums == {"a": torch.tensor(3.0)}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's part of the loop, on a device that every machine has."""

    def predict(watching: Watching, numbers: Any) -> None:
        for number in numbers:
            watching.predict_step(number, 0)

    made = SimpleNamespace(strategy=SimpleNamespace(root_device=ELSEWHERE), predict=predict)
    monkeypatch.setattr("prunelab.engine.trainer.trainer", lambda *_, **__: made)
    monkeypatch.setattr("prunelab.engine.observe._idle", {})
    monkeypatch.setattr("prunelab.stages.score.device", lambda _: ELSEWHERE)


@pytest.mark.usefixtures("elsewhere")
def test_a_pass_brings_the_model_and_takes_it_back() -> None:
    model, sums = Moved(), list[Any]()

    def gives(rows: range, device: torch.device) -> dict[str, Tensor]:
        sums.append(next(model.components["denoiser"].parameters()).device)
        return {}

    observe(Observation(model, 4, 3, gives), Hardware(), "test")  # type: ignore[arg-type]
    assert sums == [ELSEWHERE, ELSEWHERE]
    assert model.places == ["meta", "cpu"]


@pytest.mark.usefixtures("elsewhere")
def test_passes_of_one_scorer_move_the_model_once() -> None:
    model = Moved()

    def passes() -> Generator[Observation, Mapping[str, Tensor], dict[str, Tensor]]:
        for _ in range(3):
            yield Observation(model, 2, 1, lambda rows, device: {})  # type: ignore[arg-type]
        return {}

    assert follow(passes(), Hardware()) == {}
    assert model.places == ["meta", "cpu"]


def test_a_model_comes_back_from_what_fails() -> None:
    model = Moved()

    def failing() -> Iterator[None]:
        with placed(model, ELSEWHERE):  # type: ignore[arg-type]
            raise KeyError("the power went")

    with pytest.raises(KeyError):
        failing()
    assert model.places == ["meta", "cpu"]
    with placed(model, CPU):  # type: ignore[arg-type]
        assert model.places == ["meta", "cpu"], "where it is already, it is left"


def test_a_trainer_that_is_used_again_holds_no_model_and_none_that_failed_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = list[Any]()
    monkeypatch.setattr("prunelab.engine.observe._idle", {})
    monkeypatch.setattr(
        "prunelab.engine.trainer.trainer", lambda *given, **named: made.append(1) or trainer(*given, **named)
    )

    def fails(rows: range) -> dict[str, Tensor]:
        raise KeyError(rows)

    model = Moved()
    seen = weakref.ref(model)
    for _ in range(2):
        observe(Observation(model, 4, 3, lambda *_: {"one": torch.ones(1)}), Hardware(), "test")  # type: ignore[arg-type]
    assert len(made) == 1
    del model
    gc.collect()
    assert seen() is None
    with pytest.raises(KeyError):
        observe(observation(4, fails), Hardware(), "test")
    assert observe(observation(4, lambda _: {"one": torch.ones(1)}), Hardware(), "test")["one"].item() == 2
    assert len(made) == 2
