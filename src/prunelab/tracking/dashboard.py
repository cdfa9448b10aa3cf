"""A W&B workspace over the runs of a group: Pareto plots, methods at equal budget, layer maps, samples.

The same view is a JSON file that needs no server, and, where there is an account, a workspace there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunelab.core.errors import Refusal
from prunelab.core.quantities import Quantity
from prunelab.tracking.wandb import WandbTracker
from prunelab.tracking.wandb_service import bounded

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

FILE = "dashboard.json"
NOBODY = "entity"  # in a view that belongs to no account yet
STATES = {"recovered": "after recovery", "pruned": "before recovery"}
CHOICES = ("scorer", "granularity", "requested")
TRAINING = ("loss", "learning_rate", "gradient_norm")
SAVE_SECONDS = 20.0  # how long a server may take to keep a view


@dataclass(frozen=True)
class Dashboard:
    """What a view is of: a group of a project, the metrics that are shown, the batches that were timed."""

    project: str
    group: str
    metrics: Mapping[str, Quantity]
    batches: Sequence[int]

    @property
    def costs(self) -> dict[str, str]:
        """What quality is held against: a summary's name of each cost, and its title."""
        latencies = {f"latency_ms/denoiser_b{size}": f"latency, batch of {size}" for size in self.batches}
        return {"parameters": "parameters", "macs": "MACs", **latencies}

    def workspace(self, entity: str = NOBODY) -> Workspace:
        """The view itself; asks no server anything."""
        ws = _library()
        return ws.Workspace(
            entity=entity,
            project=self.project,
            name=f"prunelab: {self.group}",
            sections=[*self._pareto(), self._methods(), *_looks()],
            runset_settings=ws.RunsetSettings(filters=[ws.Metric("Group") == self.group]),
        )

    def _pareto(self) -> list[Section]:
        ws, wr = _library(), _panels()
        found = []
        for state, when in STATES.items():
            panels = [
                wr.ScatterPlot(
                    title=f"{quantity.title} against {title}, {when}",
                    x=wr.SummaryMetric(f"{state}/{cost}"),
                    y=wr.SummaryMetric(f"{state}/{metric}"),
                    running_ymin=quantity.better == "lower",
                    running_ymax=quantity.better == "higher",
                )
                for metric, quantity in self.metrics.items()
                for cost, title in self.costs.items()
            ]
            found.append(ws.Section(name=f"Quality against cost, {when}", panels=panels, is_open=True))
        return found

    def _methods(self) -> Section:
        ws, wr = _library(), _panels()
        panels: list[Any] = []
        for metric, quantity in self.metrics.items():
            before, after = (wr.SummaryMetric(f"{state}/{metric}") for state in ("pruned", "recovered"))
            columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(name)) for name in CHOICES]
            for one in (before, after):
                lower = quantity.better == "lower"
                columns.append(wr.ParallelCoordinatesPlotColumn(metric=one, inverted=lower))
            title, bars = f"Choices and {quantity.title}", f"{quantity.title} of each scorer"
            panels.append(wr.ParallelCoordinatesPlot(title=title, columns=columns))
            panels.append(wr.BarPlot(title=bars, metrics=[after], groupby=wr.Config("scorer")))
        return ws.Section(name="Methods at equal budget: filter by config.requested", panels=panels)


def write(dashboard: Dashboard, folder: Path) -> Path:
    """The view as a JSON file in ``folder``, as W&B keeps it; its path."""
    path = folder / FILE
    model = dashboard.workspace()._to_model()
    path.write_text(
        model.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n", encoding="utf-8"
    )
    return path


def publish(dashboard: Dashboard, tracker: WandbTracker) -> str | None:
    """The address of the view in W&B; None, and a line that says why, where it stays a file."""
    if tracker.mode != "online":
        return None
    found: list[str] = []
    with tracker.lenient(f"the view is in {FILE}"), bounded(SAVE_SECONDS):
        import wandb

        saved = dashboard.workspace(wandb.Api(timeout=int(SAVE_SECONDS)).default_entity or NOBODY).save()
        found.append(saved.url)
    return found[0] if found else None


def _looks() -> list[Section]:
    """What is looked at: layer maps, samples, training curves."""
    ws, wr = _library(), _panels()
    layers = [wr.MediaBrowser(title=key, media_keys=[key]) for key in ("plan/along", "scores/along")]
    samples = [
        wr.MediaBrowser(title=state, media_keys=[f"samples/{state}"])
        for state in ("dense", "pruned", "recovered")
    ]
    curves = [wr.LinePlot(title=name, x="Step", y=[name]) for name in TRAINING]
    return [
        ws.Section(name="Layer map: what went where", panels=layers),
        ws.Section(name="Samples: the same prompts and seeds", panels=samples, is_open=True),
        ws.Section(name="Training", panels=curves),
    ]


def _library() -> Any:
    try:
        import wandb_workspaces.workspaces as found
    except ImportError as error:
        line = "prunelab dashboard needs wandb-workspaces: pip install prunelab[dashboard]"
        raise Refusal(line) from error
    return found


def _panels() -> Any:
    import wandb_workspaces.reports.v2 as found

    return found
