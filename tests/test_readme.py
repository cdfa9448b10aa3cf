"""What the pages say can be done: commands compose, examples run, names and links exist."""

import ast
import importlib
import re
import runpy
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch

from prunelab.cli import main
from prunelab.cli.arguments import JOBS, parse
from prunelab.cli.checking import check
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.models.blocks import WALKERS
from prunelab.models.stable_diffusion import StableDiffusion
from prunelab.tasks.judged_data import ShuffledExamples

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?:\w+=\$\()?prunelab\b(.*?)\)?(?:\n(prunelab: .*))?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    """A fenced block: its language, the file that it is (or nothing), and its text."""

    page: Path
    language: str
    title: str
    text: str


class Command(NamedTuple):
    """A command line of a page, and the refusal that the page shows after it (or nothing)."""

    page: Path
    words: list[str]
    refusal: str


def blocks(language: str) -> list[Block]:
    """The blocks in one language, of all pages."""
    found = (Block(page, *match) for page in PAGES for match in FENCE.findall(page.read_text("utf-8")))
    return [block for block in found if block.language == language]


def commands() -> list[Command]:
    """The command lines of all pages."""
    return [
        Command(block.page, shlex.split(words), refusal)
        for block in blocks("console")
        for words, refusal in COMMAND.findall(block.text)
    ]


def name(example: Block | Command) -> str:
    """A readable test id."""
    page = example.page.relative_to(ROOT)
    return f"{page}: {' '.join(example.words)}" if isinstance(example, Command) else str(page)


def write_files(page: Path, folder: Path) -> None:
    """The files that a page shows, below ``folder``."""
    for block in blocks("python") + blocks("yaml"):
        if block.page == page and block.title:
            place = folder / block.title
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")


def example(page: str, file: str, folder: Path) -> dict[str, Any]:
    """What a file that a page shows defines."""
    write_files(ROOT / page, folder)
    return runpy.run_path(str(folder / file))


def test_there_is_something_to_test() -> None:
    assert len(commands()) > 20
    assert len(blocks("python")) > 5
    assert sum(bool(each.refusal) for each in commands()) == 2


@pytest.mark.parametrize("command", [each for each in commands() if not each.refusal], ids=name)
def test_every_command_composes(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(command.page, tmp_path)
    monkeypatch.chdir(tmp_path)
    check(parse(command.words))


@pytest.mark.parametrize("command", [each for each in commands() if each.refusal], ids=name)
def test_every_refusal_is_as_shown(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["prunelab", *command.words, f"store={tmp_path}", "logger=none"])
    with pytest.raises(SystemExit) as stop:
        main()
    printed = capsys.readouterr()
    assert (stop.value.code, printed.out, printed.err.splitlines()) == (1, "", [command.refusal])


def imported(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Local name, module and attribute (or nothing) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("block", blocks("python"), ids=name)
def test_every_python_block_names_what_exists(block: Block) -> None:
    tree = ast.parse(block.text)
    modules: dict[str, ModuleType] = {}
    for local, module, attribute in imported(tree):
        found = importlib.import_module(module)
        assert not attribute or hasattr(found, attribute), f"{module} has no {attribute}"
        if not attribute:
            modules[local] = found
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), ast.unparse(node)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def unnamed(words: Iterable[str], page: str) -> list[str]:
    """The words that a page does not have as code."""
    text = (ROOT / page).read_text("utf-8")
    return sorted(word for word in words if f"`{word}`" not in text)


def test_the_command_line_page_names_every_job_and_key() -> None:
    groups = [folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()]
    keys = re.findall(r"^(\w+):", (ROOT / "conf" / "config.yaml").read_text("utf-8"), re.MULTILINE)
    expected = {*JOBS, *groups, *keys} - {"defaults", "hydra", "job", "schedule"}
    assert unnamed(expected, "docs/command-line.md") == []


@pytest.mark.parametrize("group", ["scorer", "budget", "bypass", "recovery", "experiment"])
def test_the_pages_name_every_choice(group: str) -> None:
    names = [file.stem for file in (ROOT / "conf" / group).glob("*.yaml")]
    assert unnamed(names, "docs/command-line.md") == []
    assert unnamed(names, "README.md") == []


def test_the_readme_names_every_granularity_model_and_sweep() -> None:
    models = [file.stem for file in (ROOT / "conf" / "model").glob("*.yaml")]
    sweeps = [file.stem for file in (ROOT / "sweeps").glob("*.yaml")]
    assert unnamed([*WALKERS, *models, *sweeps], "README.md") == []


def heads_by_hand(unit: Unit, attention: Any) -> list[float]:
    """The largest weight of each head, from the attention's own matrices."""
    width = attention.to_out[0].in_features // unit.elements
    largest = []
    for head in range(unit.elements):
        rows = slice(head * width, (head + 1) * width)
        inner = [layer.weight[rows] for layer in (attention.to_q, attention.to_k, attention.to_v)]
        weights = [*inner, attention.to_out[0].weight[:, rows]]
        largest.append(max(float(weight.abs().max()) for weight in weights))
    return largest


@pytest.mark.parametrize("page", ["README.md", "docs/adding-a-scorer.md"])
def test_the_scorer_from_weights_scores_as_by_hand(model: StableDiffusion, page: str, tmp_path: Path) -> None:
    scorer = example(page, "mine/largest.py", tmp_path)["Largest"]()
    units = model.units(["head"], ["denoiser"])
    scores = scorer.score(model, units)
    for unit in units:
        attention = model.components["denoiser"].get_submodule(unit.path)
        assert scores[unit.name].dtype == torch.float64
        assert scores[unit.name].tolist() == heads_by_hand(unit, attention)


def test_the_scorer_with_forward_passes_adds_up(model: StableDiffusion, tmp_path: Path) -> None:
    """One batch of 4 and two of 2 agree, and a mean of squares is one taken by hand."""
    energy = example("docs/adding-a-scorer.md", "mine/energy.py", tmp_path)["Energy"]
    units = model.units(["head", "neuron"], ["denoiser"])[:12]
    prompts = ShuffledExamples(Digits(train_size=16).train(), 0)
    found = []
    for size in (4, 2):
        scorer = energy(samples=4, steps=2, batch_size=size)
        observation = scorer.observation(model, units, prompts)
        parts = [observation.observe(chunk) for chunk in range(observation.chunks)]
        assert len(parts) == 4 // size
        summed = {key: sum(part[key] for part in parts) for key in parts[0]}
        found.append(scorer.reduce(summed, units))
    for unit in units:
        assert found[0][unit.name].shape == (unit.elements,)
        torch.testing.assert_close(found[0][unit.name], found[1][unit.name], rtol=1e-5, atol=1e-9)


def test_a_hook_of_the_example_takes_a_mean_of_squares(model: StableDiffusion, tmp_path: Path) -> None:
    defined = example("docs/adding-a-scorer.md", "mine/energy.py", tmp_path)
    unit = model.units(["head"], ["denoiser"])[0]
    sums: dict[str, torch.Tensor] = {}
    value = torch.randn(3, 5, unit.elements * unit.gate.block, generator=torch.Generator().manual_seed(0))
    defined["adding"](sums, unit)(torch.nn.Identity(), (value,))
    scores = defined["Energy"]().reduce(sums, [unit])[unit.name]
    for head, score in enumerate(scores.tolist()):
        columns = value[..., head * unit.gate.block : (head + 1) * unit.gate.block]
        assert score == pytest.approx(float((columns.double() ** 2).mean()), rel=1e-12)
