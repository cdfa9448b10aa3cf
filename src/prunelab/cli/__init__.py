"""The command line: ``prunelab [JOB] key=value ...``. The only importer of hydra.

Nothing heavy is imported until a job starts: help and configuration errors answer at once.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from prunelab.cli.checking import check, conf_folder, nearest
from prunelab.core.errors import Refusal

JOBS = ("run", "plan", "pretrain", "report")
LAUNCHED = "PRUNELAB_LAUNCHED"  # set for the ranks that a job starts: their parent speaks for them
REFUSED = "refusal.txt"  # how a rank tells its parent why it stopped


def main() -> None:
    """Run the job named by the first word; exit code 0 only when every job of a sweep ended well."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # spinning threads on shared cores are 10-100 times slower
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # results are bitwise at equal thread counts
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us as they are
    try:
        sys.exit(command(sys.argv[1:]))
    except Refusal as refusal:
        sys.exit(f"prunelab: {refusal}")


def command(words: Sequence[str]) -> int:
    """Run a command line; the number of jobs that were refused."""
    job, overrides = _split(words)
    if not any(word in ("--help", "-h", "--cfg", "-c", "--info") for word in overrides):
        check(overrides)
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    done = Done()
    sys.argv = [sys.argv[0], *overrides, f"job={job}"]
    hydra.main(config_path=str(conf_folder()), config_name="config", version_base=None)(done.job)()
    return done.finish(job)


def embedded(name: str) -> str:
    """``${embedded:NAME}`` in a configuration: a folder that comes with the package."""
    return str(Path(__file__).resolve().parent.parent / "embedded" / name)


def _split(words: Sequence[str]) -> tuple[str, list[str]]:
    if not words or "=" in words[0] or words[0].startswith("-"):
        return "run", list(words)
    if words[0] not in JOBS:
        raise Refusal(f"unknown job {words[0]!r}: {nearest(words[0], JOBS)}")
    return words[0], list(words[1:])


class Done:
    """What the jobs of one command line left behind: folders, and refusals that did not stop the others."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.refusals: list[str] = []
        self.sweep: Path | None = None

    def job(self, config: DictConfig) -> None:
        """One job of the command line, in this process or in ranks of its own."""
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        if settings.mode is not None and settings.mode.name == "MULTIRUN":
            self.sweep = folder.parent
        try:
            _run(config, folder, list(settings.overrides.task))
            self.folders.append(folder)
        except Refusal as refusal:
            self.refusals.append(
                f"{', '.join(settings.overrides.task)}: {refusal}" if self.sweep else str(refusal)
            )
            _leave_word(folder, str(refusal))

    def finish(self, job: str) -> int:
        """Combine the reports of a sweep, print the folder that was written, and count the refusals."""
        folder = self.folders[-1] if self.folders else None
        if self.sweep and self.folders and job == "run" and LAUNCHED not in os.environ:
            from prunelab.cli.jobs import combine

            folder = combine(self.sweep, self.folders)
        for refusal in self.refusals:
            print(f"prunelab: {refusal}", file=sys.stderr)
        if folder and LAUNCHED not in os.environ and os.environ.get("RANK", "0") == "0":
            print(folder.absolute())
        return min(len(self.refusals), 1)


def _run(config: DictConfig, folder: Path, overrides: list[str]) -> None:
    if config.devices > 1 and "RANK" not in os.environ:
        _in_ranks(config.devices, folder, overrides)
        return
    from prunelab.cli import jobs

    jobs.quiet()
    job: Callable[[DictConfig, Path], None] = getattr(jobs, config.job)
    job(config, folder)


def _in_ranks(devices: int, folder: Path, overrides: list[str]) -> None:
    """The same job in ``devices`` processes that torch's elastic launcher starts and watches."""
    from prunelab.engine.launch import launch

    os.environ[LAUNCHED] = "1"
    words = [word for word in overrides if not word.startswith("job=")]
    job = next((word.removeprefix("job=") for word in overrides if word.startswith("job=")), "run")
    try:
        ended_well = launch(devices, ["-m", "prunelab", job, *words, f"hydra.run.dir={folder}"])
    finally:
        del os.environ[LAUNCHED]
    if not ended_well:
        note = folder / REFUSED
        raise Refusal(note.read_text("utf-8") if note.is_file() else "a rank failed; its message is above")


def _leave_word(folder: Path, refusal: str) -> None:
    if LAUNCHED in os.environ and os.environ.get("RANK") == "0":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REFUSED).write_text(refusal, encoding="utf-8")
