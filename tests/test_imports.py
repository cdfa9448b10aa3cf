"""What a job whose results are stored imports: packages that take seconds come when something is computed."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
HEAVY = {"lightning", "torchmetrics", "scipy", "sklearn", "datasets", "pandas", "peft"}
# Parts that every job on the embedded text-to-image model opens, besides the jobs themselves.
OPENED = (
    "prunelab.cli.jobs",
    "prunelab.models.pipeline",
    "prunelab.tasks.text_to_image",
    "prunelab.data.digits",
    "prunelab.judges.classifier",
    "prunelab.scorers.latent_shift",
    "prunelab.budgets.ranking",
    "prunelab.recovery.distill",
    "prunelab.metrics.frechet",
    "prunelab.metrics.kernel",
    "prunelab.metrics.similarity",
)


def at_once(node: ast.AST) -> Iterator[str]:
    """The modules that importing this code imports: not those inside functions, or for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from at_once(child)


def source(module: str) -> Path | None:
    place = SOURCES.joinpath(*module.split("."))
    found = [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]
    return found[0] if found else None


def test_what_is_stored_is_read_without_what_computes_it() -> None:
    waiting, seen, heavy = list(OPENED), set[str](), set[tuple[str, str]]()
    while waiting:
        module = waiting.pop()
        path = source(module)
        if module in seen or path is None:
            continue
        seen.add(module)
        for name in at_once(ast.parse(path.read_text("utf-8"))):
            if name.partition(".")[0] in HEAVY:
                heavy.add((module, name.partition(".")[0]))
            parts = name.split(".")
            waiting += [".".join(parts[: i + 1]) for i in range(len(parts))] if parts[0] == "prunelab" else []
    assert heavy == set()
    assert len(seen) > 80
