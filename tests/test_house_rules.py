"""Rules of the house that no other tool watches over."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
ROOMS = ("src", "conf", "docs", "tests", "benchmarks", "sweeps", "slurm", ".ci")
TEXT = {".py", ".md", ".yaml", ".toml", ".txt", ".sh", ".sbatch", ".cfg", ""}

# What an interrupted training resumes from is torch's own format, read with weights_only=True.
CHECKPOINTS = "src/prunelab/engine/checkpoints.py"

MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 60
DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"}
SYSTEM_FOLDERS = {"bin", "dev", "etc", "lib", "proc", "sys", "tmp", "usr"}
ABSOLUTE_PATH = re.compile(r"""(?:^|(?<=[\s"'`(=]))/([A-Za-z][\w.-]*)/""", re.MULTILINE)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, dict[str | None, ast.expr]]]:
    """Every call with its keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, {keyword.arg: keyword.value for keyword in node.keywords}


def imported(tree: ast.AST) -> Iterator[str]:
    """The packages that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def offences(tree: ast.AST) -> list[str]:
    """What may not stand in a source file."""
    found = [name for name in imported(tree) if name in {"pickle", "cloudpickle", "dill", "joblib"}]
    for call, keywords in calls(tree):
        name = ast.unparse(call.func)
        if is_constant(keywords.get("shell"), True):
            found.append("shell=True")
        if name == "torch.load" and not is_constant(keywords.get("weights_only"), True):
            found.append("torch.load without weights_only=True")
        if name == "torch.save":
            found.append("torch.save")
    found += [
        "bare except" for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_pickles_shells_or_bare_excepts(path: Path) -> None:
    allowed = {"torch.save"} if relative(path) == CHECKPOINTS else set()
    assert set(offences(ast.parse(path.read_text()))) - allowed == set()


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import dump",
        "run('ls', shell=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.save(model, path)",
        "try: pass\nexcept: raise",
    ],
)
def test_each_offence_is_seen(line: str) -> None:
    assert len(offences(ast.parse(line))) == 1


def files() -> list[Path]:
    """The text files of the repository, without what was built or written by runs."""
    inside = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*"))]
    return [
        path
        for path in [*sorted(ROOT.iterdir()), *inside]
        if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts
    ]


def test_no_file_name_stands_for_two_things() -> None:
    """Within the package, so that a name says where it is."""
    names = [path.name for path in SOURCES if path.name not in ("__init__.py", "__main__.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_nothing_is_named_after_a_drawer() -> None:
    names = {part for path in files() for part in Path(relative(path)).with_suffix("").parts}
    assert names & DRAWERS == set()


def test_no_file_names_a_path_of_one_machine() -> None:
    found = {
        f"{relative(path)}: {match.group(0)}"
        for path in files()
        for match in ABSOLUTE_PATH.finditer(path.read_text(errors="ignore"))
        if match.group(1) not in SYSTEM_FOLDERS
    }
    assert found == set()


def test_a_path_of_one_machine_is_seen_and_a_relative_one_is_not() -> None:
    absolute = "/".join(["", "srv", "models", "unet"])
    assert ABSOLUTE_PATH.findall(f"path={absolute}\n{absolute} `{absolute}`") == ["srv"] * 3
    assert ABSOLUTE_PATH.findall("https://a.org/b/c src/models/unet ../b/c a / b /outputs") == []


def test_importing_prunelab_stays_light() -> None:
    """So that the command line answers help and config errors at once."""
    heavy = {"torch", "diffusers", "transformers", "lightning", "wandb", "matplotlib", "datasets"}
    code = f"import sys, prunelab; print(*sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
