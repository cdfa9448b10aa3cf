import pytest
import torch

from prunelab.costs.memory import peak_memory


def test_there_is_no_figure_for_the_cpu_and_nothing_runs_for_it() -> None:
    calls: list[int] = []
    assert peak_memory(lambda: calls.append(1), "cpu") is None
    assert calls == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the CUDA allocator's peak needs a CUDA device")
def test_cuda_peak_holds_what_lived_at_once() -> None:
    mebibyte = 2**20
    kept = torch.zeros(4 * mebibyte, dtype=torch.uint8, device="cuda")
    before = torch.cuda.memory_allocated()
    peak = peak_memory(lambda: torch.zeros(8 * mebibyte, dtype=torch.uint8, device="cuda"), "cuda")
    assert peak == before + 8 * mebibyte
    assert kept.numel() <= before
