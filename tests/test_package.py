"""The files of the package agree: bounds, the lock file, the workflow, the hooks, the citation."""

import ast
import itertools
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import prunelab

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NOT_LOCKED = {"torch-fidelity", "torchvision", "soundfile", "bitsandbytes"}  # nor do the tests have them


def requirements() -> list[Requirement]:
    """Everything that is asked for, extras included; an extra may name another of this package."""
    found = map(Requirement, (*PROJECT["dependencies"], *itertools.chain(*EXTRAS.values())))
    return [each for each in found if each.name != PROJECT["name"]]


def locked() -> dict[str, Version]:
    pairs = (line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split())
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_every_requirement_has_bounds_and_is_named_once() -> None:
    for part in (PROJECT["dependencies"], *EXTRAS.values()):
        names = [canonicalize_name(Requirement(text).name) for text in part]
        assert len(names) == len({*names})
    for each in requirements():
        assert {">=", "<"} == {bound.operator for bound in each.specifier}, (
            f"{each.name}: a lower and an upper bound"
        )


def test_the_lock_file_lies_within_the_bounds() -> None:
    versions = locked()
    for each in requirements():
        name = canonicalize_name(each.name)
        if name not in NOT_LOCKED:
            assert each.specifier.contains(versions[name]), (
                f"{name}=={versions[name]} is not {each.specifier}"
            )


def test_a_lower_bound_is_the_release_that_is_locked() -> None:
    """No older one was run."""
    versions = locked()
    for each in requirements():
        name = canonicalize_name(each.name)
        (lowest,) = (bound.version for bound in each.specifier if bound.operator == ">=")
        if name not in NOT_LOCKED:
            assert Version(lowest).release[:2] == versions[name].release[:2], name


def test_the_lock_file_is_exact_and_names_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!]+", line)] == []


def imported() -> set[str]:
    """The packages that the sources import, or look for by ``find_spec("name")``, as they are imported."""
    found: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "find_spec":
                found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return found - {*sys.stdlib_module_names, "prunelab", "pruned_structure"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    optional = {canonicalize_name(each.name) for each in requirements()} - declared
    known = packages_distributions()
    found = {canonicalize_name(name) for module in imported() for name in known.get(module, [module])}
    brought = {"pydantic-core"}  # by pydantic, whose errors it holds
    assert found - declared - optional - brought == set()
    assert declared - found == set()


def test_the_workflow_runs_what_the_readme_says() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yaml").read_text("utf-8"))
    test = workflow["jobs"]["test"]
    commands = [step["run"] for step in test["steps"] if "run" in step]
    assert commands == ["make test PYTHON=python"]
    assert "$ make test\n" in (ROOT / "README.md").read_text("utf-8")
    told = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert test["strategy"]["matrix"]["python"] == told
    assert PROJECT["requires-python"] == f">={told[0]}"


def test_the_hooks_are_what_make_lint_runs() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = {Path(hook["entry"].partition(" ")[0]).name for hook in repo["hooks"]}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    linted = makefile.partition("lint: install\n")[2].partition("\n\n")[0]
    assert hooks == set(re.findall(r"\$\(BIN\)/([\w-]+)", linted))


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"] == prunelab.__version__
    assert citation["license"] == PROJECT["license"]


def test_the_container_gets_all_that_the_wheel_is_built_from() -> None:
    """conf/ has links to folders beside it."""
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    links = {link.readlink().parts[1] for link in (ROOT / "conf").iterdir() if link.is_symlink()}
    assert {"src", "conf", "pyproject.toml", *links} <= names
    assert names == {
        line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").split() if line[0] == "!"
    }
