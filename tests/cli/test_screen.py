"""What stands on the screen: a line at once, then as much as was asked for."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from omegaconf import OmegaConf

from prunelab.cli.announcement import announcement, jobs, stages
from prunelab.cli.arguments import parse
from prunelab.cli.checking import check
from prunelab.core.presets import embedded
from prunelab.core.screen import SCREEN

Command = Callable[..., Any]


def announced(words: str) -> str:
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    arguments = parse(words.split())
    return announcement(arguments, check(arguments))


def test_the_first_line_says_what_where_and_how_long() -> None:
    assert announced("scorer=magnitude store=there") == (
        "prunelab run: tiny_t2i, magnitude scores of operator, sparsity 0.3 of elements, recovery distill, "
        "17 stages; store there"
    )
    assert announced("plan granularity=[head,neuron] scorer=random store=there") == (
        "prunelab plan: tiny_t2i, random scores of head+neuron, sparsity 0.3 of elements; store there"
    )
    assert announced("-m scorer=magnitude,random sparsity=0.1,0.3 recovery=none,distill store=there") == (
        "prunelab run: 8 jobs, tiny_t2i, magnitude,random scores of operator, sparsity 0.1,0.3 of elements, "
        "recovery none,distill, at most 17 stages each; store there"
    )


def test_the_jobs_of_a_named_sweep_are_counted() -> None:
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    for words, expected in (("-m sweep=ecodiff_ladder", 45), ("-m sweep=ecodiff_ladder seed=0", 15)):
        arguments = parse(words.split())
        assert jobs(arguments, check(arguments)[0]) == expected


def test_the_first_line_stands_there_before_anything_heavy_is_imported() -> None:
    """Hydra's start is where work, and its imports, would begin."""
    from prunelab import cli

    heavy, err = ("torch", "lightning", "diffusers"), io.StringIO()
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in heavy}
    for name in hidden:
        del sys.modules[name]
    try:
        with mock.patch.object(cli, "_started"), contextlib.redirect_stderr(err):
            cli.command(["store=there"])
        assert err.getvalue().startswith("prunelab run: tiny_t2i")
        assert [name for name in heavy if name in sys.modules] == []
    finally:
        sys.modules.update(hidden)


@pytest.mark.parametrize("words", ["quiet=true", "verbose=true"])
def test_a_stored_run_says_as_much_as_was_asked_for(
    command: Command, first: Any, tiny_trained: tuple[str, ...], store: Path, words: str
) -> None:
    ended = command(*tiny_trained, words, store=store)
    assert (ended.code, ended.computed) == (0, [])
    told = [line for line in ended.err if " is in the store" in line or line.startswith("report: ")]
    assert (ended.announced == "") == (words == "quiet=true")
    assert (told == []) == (words == "quiet=true")


def test_the_stages_are_as_many_as_was_said(
    command: Command, first: Any, tiny_trained: tuple[str, ...], store: Path
) -> None:
    """All artifacts that a run asks for, each once."""
    ended = command(*tiny_trained, store=store)
    with mock.patch.dict(os.environ):
        OmegaConf.register_new_resolver("embedded", embedded, replace=True)
        (config,) = check(parse(list(tiny_trained)))
    assert stages(config) == SCREEN.number() == SCREEN.all()
    assert f" {SCREEN.number()} stages; store {store}" in ended.announced


def test_loud_and_quiet_contradict_each_other(command: Command, tmp_path: Path) -> None:
    ended = command("quiet=true", "verbose=true", store=tmp_path / "store")
    assert (ended.code, len(ended.err)) == (1, 1)
    assert "contradict" in ended.err[0]
