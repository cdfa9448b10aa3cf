"""What tensors without numbers answer, and that tensors with numbers are asked."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunelab.costs.answering import Answering
from prunelab.costs.macs import macs
from prunelab.costs.shapes import Shortcuts

META = torch.device("meta")


def test_a_number_is_one_and_a_question_is_answered_yes() -> None:
    tensor = torch.empty(3, device=META)
    with pytest.raises(RuntimeError, match="meta"):
        bool((tensor > 2).all())
    with Answering():
        assert bool((tensor > 2).all())
        assert tensor[0].item() == 1.0
        assert tensor.long()[0].item() == 1
        assert torch.equal(tensor, tensor + 1)
        assert torch.tensor([tensor[0] / 2, tensor[1]]).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="meta"):
        tensor[0].item()


def test_a_mask_selects_all_and_a_copy_is_full_of_ones() -> None:
    tensor = torch.empty(2, 3, 5, device=META)
    mask = tensor[..., 0] > 0
    with Answering():
        assert tensor[mask].shape == (6, 5)
        assert mask.nonzero().shape == (6, 2)
        assert tensor.to("cpu", torch.float64).eq(1).all()
        assert tensor.to(torch.float64).is_meta
        tensor[mask] = 0.0
        assert [part.shape for part in tensor.split([1, 1], dim=1)] == [(2, 2, 5), (2, 1, 5)]
        assert [part.shape for part in tensor.split([1, 2], dim=1)] == [(2, 1, 5), (2, 2, 5)]


def test_numbers_are_known_until_something_is_written() -> None:
    with Answering():
        known = torch.full((4,), 3, device=META)
        assert (known + known).tolist() == [6, 6, 6, 6]
        copied = known.cpu()
        copied[0] = 7  # another tensor
        assert known.tolist() == [3, 3, 3, 3]
        known[:2] = 5  # a view of it
        assert known.tolist() == [1, 1, 1, 1]


def test_what_has_numbers_is_computed_and_what_has_none_keeps_its_shapes() -> None:
    def asked(tensor: Tensor) -> list[object]:
        mask = tensor > 3
        return [
            tensor[0, 0].item(),
            tensor[mask].tolist(),
            mask.nonzero().tolist(),
            tensor.split([1, 2], dim=1),
        ]

    real = torch.arange(6.0).reshape(2, 3)
    with Answering():
        within = asked(real)
    assert str(within) == str(asked(real))
    layer = nn.Linear(3, 4, device=META)
    with Answering():
        assert layer(torch.empty(2, 3, device=META)).shape == (2, 4)


class Guarded(nn.Module):
    """Looks its mask through before it works, as transformers' text encoders do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        return self.layer(states if mask.all() else states * mask[..., None])


def test_a_forward_that_reads_its_mask_is_counted() -> None:
    assert macs(Guarded(), {"states": torch.ones(2, 5, 3), "mask": torch.ones(2, 5)}).total == 2 * 5 * 3 * 4


def test_shapes_alone_are_found_without_the_long_programs_of_the_meta_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Linear layers, norms and attention are answered, in a pipeline's call as in a recorded one."""
    asked: list[str] = []
    known = Shortcuts.known

    def noted(self: Shortcuts, func: Any, args: Any, given: Any) -> Any:
        found = known(self, func, args, given)
        if found is not NotImplemented:
            asked.append(str(func._overloadpacket))
        return found

    monkeypatch.setattr(Shortcuts, "known", noted)
    block = nn.TransformerEncoderLayer(8, 2, 16, device=META, batch_first=True)
    given = torch.empty(2, 5, 8, device=META)
    plain = block(given)
    for mode in (Answering(), Shortcuts()):
        asked.clear()
        with torch.inference_mode(), mode:
            found = block(given)
        assert (found.shape, found.dtype, found.is_meta) == (plain.shape, plain.dtype, True)
        assert {"aten.linear", "aten.layer_norm", "aten.scaled_dot_product_attention"} <= set(asked)
