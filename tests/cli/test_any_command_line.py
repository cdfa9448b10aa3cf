"""Any command line that the configuration tree allows to be written is accepted or refused in one line.

The lines are made from the tree itself: a new file, and a new key in it, is tried the moment it exists.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from prunelab.cli.arguments import parse, quoted
from prunelab.cli.checking import check
from prunelab.core.errors import Refusal
from prunelab.core.presets import conf_folder, embedded

Command = Callable[..., Any]
BRING_MANY = {"schedule", "sweep"}  # a part of other groups, and what takes -m
GROUPS = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted(conf_folder().iterdir())
    if folder.is_dir() and folder.name not in BRING_MANY
}
OUTPUTS = ["hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.job.name", "hydra.searchpath"]
HOSTILE = [
    *("0", "-1", "1", "1.5", "-0.5", "nan", "inf", "-inf", "1e9", "1e400", "99999999999999999999"),
    *("null", "true", "''", "' '", "[]", "{}", "[0.9]", "[head,head]", "[null]", "{a:1}", "banana", "none"),
    *("'${nope}'", "'${seed}'", "'${scorer}'", "'${oc.env:NOPE}'", "'${now:%Y}'", "'${hydra:job.num}'"),
    *("1,2", "range(0,1,0)", "range(3)", "interval(0,1)", "glob(*)", "choice()", "tag(x,choice(1))", "???"),
    *(
        "'a\nb'",
        "a\0b",
        "\udcff",
        "x" * 5000,
        "/dev/null",
        "/dev/null/x",
        "'~nobody/x'",
        "${",
        "'",
        "[",
        "\\",
    ),
]


def keys(node: Any, path: str = "") -> Iterator[str]:
    """Every key of a configuration, inner ones included."""
    if isinstance(node, Mapping):
        for name, inner in node.items():
            yield f"{path}{name}"
            yield from keys(inner, f"{path}{name}.")


@lru_cache
def known(*chosen: str) -> list[str]:
    """The keys of what a choice composes to."""
    with initialize_config_dir(str(conf_folder()), version_base=None):
        return sorted(keys(OmegaConf.to_container(compose("config", overrides=list(chosen)))))


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A choice of files, and one or two words about keys or groups of what they compose to."""
    group = draw(st.sampled_from(sorted(GROUPS)))
    chosen = [f"{group}={draw(st.sampled_from(GROUPS[group]))}"] if draw(st.booleans()) else []
    key = st.sampled_from([*known(*chosen), *sorted(GROUPS), *sorted(BRING_MANY), *OUTPUTS])
    value = st.one_of(
        st.sampled_from(HOSTILE),
        st.integers().map(str),
        st.floats().map(str),
        st.text(max_size=8).map(quoted),
        st.text(max_size=4),
    )
    words = st.tuples(st.sampled_from(["", "", "", "+", "++", "~"]), key, value)
    made = [
        f"{sign}{name}" if sign == "~" else f"{sign}{name}={held}"
        for sign, name, held in draw(st.lists(words, min_size=1, max_size=2))
    ]
    return [*draw(st.sampled_from([[], [], ["-m"]])), *chosen, *made]


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=lines())
def test_it_is_accepted_or_refused_in_one_line(words: list[str]) -> None:
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    try:
        check(parse(words))
    except Refusal as refusal:
        line = str(refusal)
        assert line, words
        assert line.isprintable(), words


@pytest.mark.parametrize(
    "words",
    ["scorer=taylor scorer.stride=1 sparsity=0", "budget=owl", "budget.rank=score rounds=2 seed=7"],
)
def test_a_whole_plan_ends_in_a_folder_or_a_line(command: Command, tmp_path: Path, words: str) -> None:
    ended = command("plan", "logger=none", "granularity=block", *words.split(), store=tmp_path / "store")
    assert ended.code == 0 or (ended.code, len(ended.err), ended.out) == (1, 1, [])
