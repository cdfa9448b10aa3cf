"""What the pages say can be done: commands and examples run, names and links exist.

A new page, sweep or benchmark is covered the moment it exists. Commands that would train or measure go as far
as where work starts: everything is opened, and refused what can be. Small stand-ins take the place of
what is not there; what cannot be run is in a list with the reason.
"""

import ast
import contextlib
import importlib
import io
import json
import pydoc
import re
import runpy
import shlex
import shutil
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import datasets
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import prunelab
from prunelab.cli import jobs, main
from prunelab.cli.arguments import JOBS, LOOKS, parse, parse_overrides
from prunelab.cli.checking import check
from prunelab.cli.cluster import register
from prunelab.cli.standing import begun
from prunelab.cli.sweep_record import SweepJob
from prunelab.cli.sweep_record import begun as sweep_begun
from prunelab.core.errors import Refusal
from prunelab.core.observation import Sums
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.models.pipeline import PipelineModel
from prunelab.stages import run as running
from prunelab.stages.prune import slimmed
from prunelab.tasks.judged_data import ShuffledExamples
from prunelab.walkers.walk import OURS

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
        Command(block.page, shlex.split(words.partition(" | ")[0], comments=True), refusal)
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


# What the words of a page need that is not there, and what stands in for it.
SIZES = ("data.train_size=16", "data.test_size=16")  # of the data that come along
STAND_INS = {
    "data.size=768": "data.size=32",
    "data.size=1024": "data.size=16",
    "data.size=256": "data.size=32",
    "data.test_size=1000": "data.test_size=4",
    "data.test_size=100": "data.test_size=4",
    "evaluation.samples=100": "evaluation.samples=4",
    "evaluation.real=100": "evaluation.real=4",
    "evaluation.real=1000": "evaluation.real=4",
    "evaluation.held_out=100": "evaluation.held_out=4",
    "devices=2": "devices=1",  # two: tests/cli/test_ranks.py
}
ADDED = {
    "judge=clip": ["judge.path=my_clip"],
    "task=t2i_clip": ["judge.path=my_clip"],
    "path=my_flux": [
        "+model.open.call.height=16",
        "+model.open.call.width=16",
        "model.open.call.max_sequence_length=8",
    ],
}
# Parts of commands that are composed alone, and why.
COMPOSED = {
    "judge=inception": "needs torchvision, which the test environment must not have",
    "task=t2i_lpips": "needs torchvision, which the test environment must not have",
    "data=coco_30k_prompts": "asks the hub: the tests have no network",
    "hydra/sweeper=optuna": "a search is many jobs: tests/cli/test_search.py",
    "hydra/launcher=slurm": "asks a cluster: tests/cluster/test_slurm.py",
    "hydra/launcher=joblib": "its jobs are in other processes, beyond this one's stand-ins: test_sweep.py",
    "model=sd21 weights=random experiment=sd2_magnitude": "sorts 866 million weights for a minute",
    "plan model=flux granularity": "a real architecture: tests/models/test_architectures.py",
    "plan task=t2i_clip model=sd21 weights=random": "a real architecture: tests/models/test_architectures.py",
    "plan model=sd21 experiment=ecodiff": "a real architecture: tests/models/test_architectures.py",
    "path=my_ddpm data=cifar10": "asks the hub: the tests have no network",
}
OTHERS = {
    "make demo": "installs, and runs the experiment that tests/cli/test_experiments.py runs",
    "make lint": "the linters are not the tests' business",
    "make test": "this is it",
    "pip install -c constraints.txt .": "needs a package index",
    "pip install 'prunelab[slurm]'": "needs a package index",
    ".venv/bin/pytest -q tests/scorers": "these are they",
}
FEW = ("evaluation.samples=4", "evaluation.real=4", "evaluation.held_out=4", "evaluation.batch_size=4")
OWN_DATA = ("data=", "task=t2i_clip", "task=t2v")  # words that bring data of one's own


def as_tried(words: list[str]) -> list[str]:
    """A command with its stand-ins, and few examples where it would look at any."""
    tried = [STAND_INS.get(word, word) for word in words]
    line = " ".join(words)
    for needed, added in ADDED.items():
        tried += [each for each in added if needed in line and not set_in(tried, each)]
    if parse(words).job == "run":
        tried += [each for each in FEW if not set_in(tried, each)]
        sizes = ("data.train_size=4", "data.test_size=4") if owns_data(words) else SIZES
        tried += [each for each in sizes if not set_in(tried, each)]
    return tried


def set_in(words: list[str], word: str) -> bool:
    return any(each.partition("=")[0] == word.partition("=")[0] for each in words)


def owns_data(words: list[str]) -> bool:
    return any(word.startswith(OWN_DATA) for word in words)


def first_job(words: list[str]) -> list[str]:
    """A sweep's command line with the first value of everything swept over."""
    if "-m" not in words:
        return words
    named = [word.partition("=")[2] for word in words if word.startswith("sweep=")]
    swept = [f"{key}={value}" for name in named for key, value in parameters_of(name).items()]
    whole = [word for word in words if "," not in word or "[" in word]
    several = [word for word in words if word not in whole] + [
        each for each in swept if not set_in(words, each)
    ]
    return [*whole, *map(first_value, several)]


def first_value(word: str) -> str:
    (override,) = parse_overrides([word])
    values = (
        override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_string()]
    )
    return f"{override.get_key_element()}={next(iter(values))}"


def parameters_of(sweep: str) -> dict[str, str]:
    read = OmegaConf.load(ROOT / "sweeps" / f"{sweep}.yaml")
    return {key: str(value) for key, value in read.hydra.sweeper.params.items()}


class Ended(NamedTuple):
    """How a command line ended."""

    code: Any
    out: list[str]
    err: list[str]


def try_out(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Run ``prunelab WORDS`` in ``folder``, in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for block in blocks("python"):  # pages have classes of the same name
        monkeypatch.delitem(sys.modules, Path(block.title).stem, raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("PRUNELAB_STORE", str(folder / "store"))
    monkeypatch.setattr(sys, "argv", ["prunelab", *words])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main()
    return Ended(stop.value.code, out.getvalue().splitlines(), err.getvalue().splitlines())


@pytest.fixture
def until_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Runs and trainings go as far as where work starts; the list says how many got there."""
    reached: list[object] = []

    def checked(bench: Any, request: Any) -> None:
        reached.append(running.check(bench, running.fitted(request, bench.model)))

    def opened(recipe: object, *_: object) -> Path:
        reached.append(recipe)
        return tmp_path / "nothing"

    def ended(*_: object) -> None:
        """There is nothing to show."""

    monkeypatch.setattr(running, "run", checked)
    monkeypatch.setattr(jobs, "pretraining", opened)
    monkeypatch.setattr(jobs, "_leave", ended)
    return reached


@pytest.fixture(scope="session")
def place(
    tmp_path_factory: pytest.TempPathFactory, clip_folder: Path, flux_folder: Path, classes_folder: Path
) -> Path:
    """A folder with everything that the pages call ``my_model``, ``pictures`` and so on."""
    folder = tmp_path_factory.mktemp("place")
    embedded = Path(prunelab.__file__).parent / "embedded"
    models = {"my_model": "tiny_t2i", "my_ddpm": "tiny_uig", "my_ldm": "tiny_uig_latent"}
    for name, source in models.items():
        (folder / name).symlink_to(embedded / source)
    (folder / "my_clip").symlink_to(clip_folder)
    (folder / "my_flux").symlink_to(flux_folder)
    (folder / "my_classes").symlink_to(classes_folder)
    write_pictures(folder)
    (folder / "prompts.txt").write_text("a red seven\n" * 400)
    (folder / "multirun").mkdir()
    rows = [runpy.run_path(str(ROOT / "tests" / "report" / "conftest.py"))["make_row"]("dense")]
    (folder / "multirun" / "report.json").write_text(json.dumps({"schema": 1, "rows": rows}))
    write_sweep(folder / "multirun")
    return folder


def write_sweep(folder: Path) -> None:
    """The records of a sweep whose one job is done."""
    record = begun(folder / "0", OmegaConf.create({"job": "run"}), 0, "seed=0", ["seed=0"])
    record.begin()
    record.end()
    record.write(folder / "0")
    sweep = sweep_begun("run", ["seed=0"], "basic")
    sweep.add([SweepJob(number=0, name="seed=0", folder="0", words=["seed=0"])])
    sweep.write(folder)


def write_pictures(folder: Path) -> None:
    """Eight pictures with captions: a folder, a table, a shard of a web dataset, and folders by class."""
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    (folder / "shards").mkdir()
    encoded = []
    for number in range(8):
        picture, buffer = Image.fromarray(random.integers(0, 256, (40, 36, 3), dtype=np.uint8)), io.BytesIO()
        picture.save(folder / "pictures" / f"{number}.jpg")
        (folder / "classes" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        picture.save(folder / "classes" / str(number % 2) / f"{number}.jpg")
        (folder / "pictures" / f"{number}.txt").write_text("a red seven")
        picture.save(buffer, "png")
        encoded.append(buffer.getvalue())
    with tarfile.open(folder / "shards" / "0.tar", "w") as shard:
        for file in sorted((folder / "pictures").iterdir()):
            shard.add(file, file.name)
    table = {"image": encoded, "caption": ["a red seven"] * 8}
    datasets.Dataset.from_dict(table).to_parquet(folder / "table.parquet")


def test_there_is_something_to_test() -> None:
    assert len(commands()) > 20
    assert len(blocks("python")) > 5
    assert sum(bool(each.refusal) for each in commands()) == 2


def composed_alone(words: list[str]) -> list[str]:
    """Why a command is not run; nothing where it is."""
    return [reason for part, reason in COMPOSED.items() if part in " ".join(words)]


def once(found: list[Command]) -> list[Command]:
    """Commands that several pages show, once, unless they name files of their pages."""
    named = {(" ".join(each.words), each.page if "mine" in each.words else None): each for each in found}
    return list(named.values())


SHOWN = once([each for each in commands() if not each.refusal])


@pytest.mark.parametrize("command", [each for each in SHOWN if composed_alone(each.words)], ids=name)
def test_what_cannot_be_run_composes(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"composed alone: {composed_alone(command.words)[0]}")
    write_files(command.page, place)
    monkeypatch.chdir(place)
    register()
    check(parse(command.words))


@pytest.mark.parametrize("command", [each for each in SHOWN if not composed_alone(each.words)], ids=name)
def test_every_command_runs(
    command: Command, place: Path, until_work: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(place / "mine", ignore_errors=True)
    write_files(command.page, place)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", place / "datasets")
    check_ends_well(command.words, place, until_work, monkeypatch)


def check_ends_well(
    words: list[str], place: Path, until_work: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    told = parse(words).asks
    plain = told or parse(words).job in LOOKS or set_in(words, "logger=none")
    quiet = [] if plain else ["logger=none"]
    monkeypatch.setattr(jobs, "combine", jobs.combine if parse(words).job == "report" else lambda *_: None)
    ended = try_out([*as_tried(first_job(words)), *quiet], place, monkeypatch)
    assert ended.code == 0, ended.err
    assert ended.out
    assert [line for line in ended.err if line.startswith("prunelab: ")] == []
    assert len(until_work) == (not told and parse(words).job in ("run", "pretrain"))


def unshown_sweeps() -> list[str]:
    """The sweeps that no page starts just so: the others' first jobs start with the pages' commands."""
    shown = [" ".join(command.words) for command in SHOWN]
    names = sorted(file.stem for file in (ROOT / "sweeps").glob("*.yaml"))
    return [name for name in names if f"-m sweep={name}" not in shown]


@pytest.mark.parametrize("sweep", unshown_sweeps())
def test_the_first_job_of_every_sweep_starts(
    sweep: str, place: Path, until_work: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_ends_well(["-m", f"sweep={sweep}"], place, until_work, monkeypatch)


def test_no_command_is_shown_where_no_test_looks() -> None:
    """Consoles hold commands that are run, or others that are known; blocks without a language hold none."""
    lines = [line for block in blocks("console") for line in block.text.splitlines() if line[:2] == "$ "]
    others = {line[2:] for line in lines if not COMMAND.findall(line)}
    assert others == OTHERS.keys()
    bare = re.compile(r"^```\n(?:(?!```).*\n)*?prunelab ", re.MULTILINE)
    past = ROOT / "docs" / "log.md"  # what was run then, not what to run
    found = [page.name for page in PAGES if page != past for text in fences(page) if bare.match(text)]
    assert found == []


def fences(page: Path) -> list[str]:
    """The fenced blocks of a page, fences and all."""
    return re.findall(r"^```.*?^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def pruned(model: PipelineModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a run leaves it, with a pruned model where the pages look for one."""
    folder = tmp_path_factory.mktemp("pruned")
    units = model.units(["head"], ["denoiser"])
    plan = {unit.name: torch.arange(unit.elements) > 0 for unit in units}
    smaller = slimmed(model, units, plan)
    smaller.save(folder / "models" / "recovered")
    (folder / "src").symlink_to(ROOT / "src")
    return folder


@pytest.mark.parametrize("block", blocks("python"), ids=name)
def test_every_python_block_runs(
    block: Block, pruned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path if block.title else pruned)
    if block.title:
        assert example(str(block.page.relative_to(ROOT)), block.title, tmp_path)
    else:
        (tmp_path / "block.py").write_text(block.text, encoding="utf-8")
        runpy.run_path(str(tmp_path / "block.py"))


TOYS = {  # what makes a benchmark quick; others are run with the settings they have
    "channels": ("--rounds", "1"),
    "checkpointed_sampling": ("--batch", "1", "--rounds", "1", "--steps", "2"),
    "commands": ("--rounds", "1", "--", "--help"),
    "gpu": ("--toy", "--rounds", "1"),
    "goals": ("commands.py --help",),
    "knapsack": ("--elements", "60", "--units", "3", "--shares", "0.3"),
    "one_chunk": ("--model", "tiny_t2i"),
    "peers": ("--rounds", "1", "--batch", "1", "--steps", "1", "--samples", "2", "--stride", "500"),
    "many_ablations_per_forward": ("--samples", "1", "--rounds", "1", "--stride", "40"),
    "recovery": ("--steps", "2", "--rounds", "1", "--batch", "1"),
    "real_sizes": ("--model", "tiny_t2i", "--side", "4", "--planned", "tiny_t2v"),
    "scaling": ("--processes", "1", "--samples", "2", "--steps", "1", "--rounds", "1"),
}


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").iterdir()), ids=lambda file: file.stem)
def test_every_benchmark_runs(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(file), *TOYS.get(file.stem, ())])
    monkeypatch.syspath_prepend(file.parent)  # as it is for a script
    runpy.run_path(str(file), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", [each for each in commands() if each.refusal], ids=name)
def test_every_refusal_is_as_shown(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(
        sys, "argv", ["prunelab", *command.words, f"store={tmp_path}", "logger=none", "quiet=true"]
    )
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


def test_every_step_of_the_walk_exists() -> None:
    steps = re.findall(
        r"^\| `([\w.]+)` \| `(\w+)` \|", (ROOT / "docs" / "walk.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(steps) > 30
    assert [step for step in steps if not hasattr(importlib.import_module(step[0]), step[1])] == []


def there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one; a field of a dataclass need have no value."""
    around, _, last = name.rpartition(".")
    return pydoc.locate(name) is not None or last in getattr(pydoc.locate(around), "__annotations__", {})


def test_every_name_of_code_in_running_text_exists() -> None:
    """Those that begin with prunelab, and those of the glossary; the log keeps those of its day."""
    pages = [page for page in PAGES if page.name != "log.md" and page.parent.name != "decisions"]
    names = {name for page in pages for name in re.findall(r"`(prunelab\.[\w.]+)`", page.read_text("utf-8"))}
    rooms = "|".join(folder.name for folder in (ROOT / "src" / "prunelab").iterdir() if folder.is_dir())
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    names |= {f"prunelab.{name}" for name in re.findall(rf"`((?:{rooms})\.[\w.]+)`", glossary)}
    assert len(names) > 80
    assert sorted(name for name in names if not there(name)) == []


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
    assert unnamed(names, "docs/experiments.md" if group == "experiment" else "README.md") == []


def test_the_pages_name_every_granularity_model_and_sweep() -> None:
    models = [file.stem for file in (ROOT / "conf" / "model").glob("*.yaml")]
    sweeps = [file.stem for file in (ROOT / "sweeps").glob("*.yaml")]
    assert unnamed([*(each.name for each in OURS), *models], "README.md") == []
    assert unnamed(sweeps, "docs/experiments.md") == []


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


def test_the_scorer_from_weights_scores_as_by_hand(model: PipelineModel, tmp_path: Path) -> None:
    scorer = example("docs/adding-a-scorer.md", "mine/largest.py", tmp_path)["Largest"]()
    units = model.units(["head"], ["denoiser"])
    scores = scorer.score(model, units)
    for unit in units:
        attention = model.components["denoiser"].get_submodule(unit.path)
        assert scores[unit.name].dtype == torch.float64
        assert scores[unit.name].tolist() == heads_by_hand(unit, attention)


def test_the_scorer_with_forward_passes_adds_up(model: PipelineModel, tmp_path: Path) -> None:
    """One batch of 4 and two of 2 agree, and a mean of squares is one taken by hand."""
    energy = example("docs/adding-a-scorer.md", "mine/energy.py", tmp_path)["Energy"]
    units = model.units(["head", "neuron"], ["denoiser"])[:12]
    prompts = ShuffledExamples(Digits(train_size=16).train(), 0)
    found = []
    for size in (4, 2):
        scorer = energy(samples=4, steps=2, batch_size=size)
        observation = scorer.observation(model, units, prompts)
        parts = [observation.observe(rows, torch.device("cpu")) for rows in observation.batches]
        assert len(parts) == 4 // size
        summed = {key: sum(part[key] for part in parts) for key in parts[0]}
        found.append(scorer.reduce(summed, units))
    for unit in units:
        assert found[0][unit.name].shape == (unit.elements,)
        torch.testing.assert_close(found[0][unit.name], found[1][unit.name], rtol=1e-5, atol=1e-9)


def test_the_budget_lets_no_unit_lose_more_than_its_cap(model: PipelineModel, tmp_path: Path) -> None:
    budget = example("docs/adding-a-budget.md", "mine/capped.py", tmp_path)["Capped"]
    units = model.units(["neuron"], ["denoiser"])
    scores = {unit.name: torch.arange(unit.elements).double() + 200 * i for i, unit in enumerate(units)}
    left = round(0.3 * sum(unit.elements for unit in units))
    plan = budget().plan(scores, units, None, Sparsity(0.3))
    for unit in units:  # the scores of the first units are the lowest: each loses half, until enough are gone
        gone = min(unit.elements // 2, left)
        left -= gone
        assert plan[unit.name].tolist() == [False] * gone + [True] * (unit.elements - gone)
    with pytest.raises(Refusal, match=r"sparsity=0\.6 of denoiser is more than budget\.most=0\.5"):
        budget().plan(scores, units, None, Sparsity(0.6))


def test_a_hook_of_the_example_takes_a_mean_of_squares(model: PipelineModel, tmp_path: Path) -> None:
    defined = example("docs/adding-a-scorer.md", "mine/energy.py", tmp_path)
    unit = model.units(["head"], ["denoiser"])[0]
    sums = Sums()
    value = torch.randn(3, 5, unit.elements * unit.gate.block, generator=torch.Generator().manual_seed(0))
    defined["adding"](sums, unit)(torch.nn.Identity(), (value,))
    scores = defined["Energy"]().reduce(sums, [unit])[unit.name]
    for head, score in enumerate(scores.tolist()):
        columns = value[..., head * unit.gate.block : (head + 1) * unit.gate.block]
        assert score == pytest.approx(float((columns.double() ** 2).mean()), rel=1e-12)
