"""What a job reads: looked at before anything heavy is imported."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from prunelab.core.contents import pipeline
from prunelab.core.errors import Refusal

OURS = "prunelab."  # a model class of one's own may read something else from its path


def check_inputs(config: DictConfig, job: str) -> None:
    """Refuse a ``path`` at which there is nothing for this job."""
    if job == "report":
        reports(config.path)
    if job == "dashboard" and config.group is None:
        raise Refusal("a dashboard is of runs that belong together: prunelab dashboard group=NAME")
    place = OmegaConf.select(config, "model.open.path", throw_on_resolution_failure=False)
    kind = OmegaConf.select(config, "model.open._target_", throw_on_resolution_failure=False)
    if job in ("run", "plan") and isinstance(place, str) and str(kind).startswith(OURS):
        pipeline(place)


def reports(path: str | None) -> list[Path]:
    """Every report.json below ``path``, jobs by their numbers; refuses where there is none."""
    found = sorted(Path(path).rglob("report.json"), key=_order) if path else []
    if not found:
        raise Refusal(f"no report.json below path={path}: prunelab report path=FOLDER of earlier runs")
    return found


def _order(path: Path) -> list[tuple[int, str]]:
    """2 before 10."""
    return [(int(part) if part.isdigit() else -1, part) for part in path.parts]
