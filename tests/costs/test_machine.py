import json
from pathlib import Path

import torch

from prunelab.core.processor import processor
from prunelab.costs.machine import Hardware, hardware


def test_the_key_says_what_this_process_runs_on() -> None:
    found = hardware("cpu")
    assert (found.device, found.torch, found.threads) == ("cpu", torch.__version__, torch.get_num_threads())
    assert found.cpu
    assert Hardware(**json.loads(json.dumps(found.as_json()))) == found


def test_the_key_in_words() -> None:
    assert str(Hardware("NVIDIA A", "EPYC", "2.6", 8)) == "NVIDIA A; EPYC; torch 2.6; 8 threads"
    assert str(Hardware("cpu", "EPYC", "2.6", 1)) == "cpu; EPYC; torch 2.6; 1 thread"


def test_the_processor_is_named_where_the_kernel_names_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast One 3000\nmodel name\t: Fast One 3000\n")
    assert processor(cpuinfo) == "Fast One 3000"
    assert isinstance(processor(tmp_path / "missing"), str)
