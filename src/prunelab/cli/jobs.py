"""The jobs of the command line. Imported only when one starts."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import diffusers
import transformers
from huggingface_hub.utils import logging as hub_logging
from omegaconf import DictConfig
from rich.console import Console

from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.artifacts.links import copy_files
from prunelab.artifacts.sharing import shared
from prunelab.cli import assembly, provenance
from prunelab.cli.inputs import reports
from prunelab.cli.leaving import command, keep_model, show
from prunelab.cli.licences import licence
from prunelab.cli.making import instantiate, tracker
from prunelab.cli.older_rows import described
from prunelab.core.errors import Refusal
from prunelab.core.screen import SCREEN
from prunelab.engine import ranks
from prunelab.models.folders import CARD
from prunelab.report import read_report, write_combined, write_report
from prunelab.report.card import card
from prunelab.stages import plan as planning
from prunelab.stages import preflight
from prunelab.stages import run as running
from prunelab.stages.evaluate import quantities
from prunelab.stages.pretrain import pretrain as pretraining
from prunelab.stages.price import price_table
from prunelab.stages.run import Outcome
from prunelab.tracking.summary_run import Summary
from prunelab.tracking.wandb import WandbTracker

# What a row of a report says of what made it; the folder's provenance.json has the configuration, too.
ROW_SAYS = ("command", "version", "commit", "libraries", "hardware", "date", "job")


def quiet() -> None:
    """Leave the screen to the stages: no bars and advice from the libraries that open models and data."""
    # Read by datasets when it is imported, which takes seconds, and many jobs do without.
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")
    if "datasets" in sys.modules:
        sys.modules["datasets"].disable_progress_bars()
        sys.modules["datasets"].logging.set_verbosity(sys.modules["datasets"].logging.CRITICAL)
    hub_logging.set_verbosity_error()
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def run(config: DictConfig, folder: Path) -> Summary | None:
    """Score, prune, recover and evaluate; leaves ``report.html``, ``report.json`` and the saved models.

    Returns what was logged of it as a whole; None where it goes ``until`` an earlier stage.
    """
    request = assembly.request(config)
    bench = assembly.bench(config, lambda task: preflight.check_data(task, request))
    outcome = running.run(bench, request)
    if outcome is not None and ranks.rank() == 0:
        _leave(outcome, folder, config)
    return outcome.summary if outcome is not None else None


def _leave(outcome: Outcome, folder: Path, config: DictConfig) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for state, saved in outcome.models.items():
        if state != "dense":
            keep_model(saved, folder / "models" / state, config.keep)
    context = {"title": "prunelab", "command": command(), **outcome.facts}
    record = provenance.read(folder)
    made = {key: record[key] for key in ROW_SAYS}
    rows = [{**row, "provenance": made} for row in outcome.rows]
    for row in rows:
        if row["state"] in outcome.models and row["state"] != "dense":
            _describe(folder / "models" / row["state"], card(row, rows, licence(config)))
    page = write_report(folder, rows, outcome.previews, outcome.curves, context)
    show(outcome.rows, page)


def _describe(model: Path, words: str) -> None:
    """The card in a model's folder, in the place of one that may be a link."""
    aside = model / f".{CARD}.partial"
    aside.write_text(words, encoding="utf-8")
    aside.replace(model / CARD)


def plan(config: DictConfig, folder: Path) -> None:
    """What would go and what it would cost; leaves ``plan.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = planning.plan(assembly.bench(config, shapes=True), assembly.request(config), folder)
    if not SCREEN.quiet:
        Console(stderr=True).print(planning.table(content), price_table(content["price"]))


def pretrain(config: DictConfig, folder: Path) -> None:
    """Train the weights of an embedded model from nothing; leaves a diffusers folder and its judge."""
    if config.model.get("pretrain") is None:
        raise Refusal(
            f"model={assembly.choice('model')} has no pretraining recipe: only embedded models have one"
        )
    where = assembly.hardware(config)
    recipe = instantiate(config.model.pretrain)
    scratch = assembly.pretraining_folder(config, recipe.fingerprint)
    with (
        refusing_disk_errors(scratch),
        shared(scratch.parent.parent),
        tracker(config).stage(
            "pretrain", assembly.plain(config.model.pretrain), {}, scratch.name, label=scratch.name
        ) as log,
    ):
        made = pretraining(recipe, scratch, where, log.log)
    if ranks.rank() == 0:
        for name in ("pipeline", "judge"):
            if (made / name).is_dir():  # a distilled model is judged by its teacher's judge
                copy_files(made / name, folder / name)


def dashboard(config: DictConfig, folder: Path) -> None:
    """A W&B view over the runs of ``group``; leaves ``dashboard.json``, and in W&B the view where it can."""
    from prunelab.tracking import dashboard as views

    chosen = tracker(config)
    metrics = quantities(instantiate(config.task.metrics, _convert_="all"))
    shown = {name: told for name, told in metrics.items() if told.better and not told.aside}
    project = config.logger.get("project", "prunelab")
    batches = assembly.plain(config.evaluation.timing.batches)
    view = views.Dashboard(project, config.group, shown, batches)
    folder.mkdir(parents=True, exist_ok=True)
    path = views.write(view, folder)
    url = views.publish(view, chosen) if isinstance(chosen, WandbTracker) else None
    SCREEN.tell(f"dashboard: {url or path}")


def report(config: DictConfig, folder: Path) -> None:
    """One report from all the reports below ``path``."""
    combine(folder, reports(config.path))


def combine(folder: Path, reports: Sequence[Path]) -> None:
    """One report of several (their folders or files) in ``folder``, and its table on the screen."""
    page = write_combined(folder, reports, described)
    show(read_report(page.with_name("report.json"))["rows"], page)
