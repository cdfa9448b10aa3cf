"""The command line: ``prunelab [JOB] key=value ...``. The only importer of hydra.

Nothing heavy is imported until a job starts: help and configuration errors answer at once.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.conf import ConfigSourceInfo, OverridesConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli.arguments import SEARCH_PATH, one_line, parse
from prunelab.cli.checking import check, conf_folder
from prunelab.cli.parts import check_parts
from prunelab.cli.relaunch import in_ranks, launched, leave_word, wants_ranks
from prunelab.core.errors import Refusal

INTERRUPTED = 130  # what shells expect after Ctrl-C
ELSEWHERE = "set hydra.run.dir=FOLDER (of a sweep: hydra.sweep.dir) to one that can"


def main() -> None:
    """Run the job named by the first word; exit code 0 only when every job of a sweep ended well."""
    # Threads that spin are 10-100 times slower on shared cores; results are bitwise at equal thread counts.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us as they are
    try:
        code = command(sys.argv[1:])
    except Refusal as refusal:
        code = _complain(str(refusal), 1)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not _interrupted(stop):
            raise
        code = _complain("interrupted: the same command goes on from here", INTERRUPTED)
    sys.exit(code)


def command(words: Sequence[str]) -> int:
    """Run a command line; 1 if a job of it was refused, else 0."""
    arguments = parse(words)
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    check(arguments)
    done = Done()
    sys.argv = [sys.argv[0], *arguments.options, *arguments.words, f"job={arguments.job}"]
    _started(done.job)
    return done.finish(arguments.job)


def embedded(name: str) -> str:
    """``${embedded:NAME}`` in a configuration: a folder that comes with the package."""
    return str(Path(__file__).resolve().parent.parent / "embedded" / name)


def _started(job: Callable[[DictConfig], None]) -> None:
    """Let Hydra run the job, or the jobs, that ``sys.argv`` describes."""
    from prunelab.artifacts.disk import refusing_disk_errors

    working = False

    def marked(config: DictConfig) -> None:
        nonlocal working
        working = True
        job(config)
        working = False

    try:
        with refusing_disk_errors(Path.cwd(), ELSEWHERE):
            hydra.main(config_path=str(conf_folder()), config_name="config", version_base=None)(marked)()
    except (HydraException, OmegaConfBaseException) as error:
        raise Refusal(f"the configuration does not compose: {one_line(error)}") from error
    except OSError as error:
        if working:
            raise
        raise Refusal(f"the output folder cannot be made ({one_line(error)}): {ELSEWHERE}") from error


def _interrupted(stop: BaseException) -> bool:
    """Whether Ctrl-C is behind it: Lightning turns one into an exit of its own."""
    return isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)


def _complain(line: str, code: int) -> int:
    if not launched():
        print(f"prunelab: {line}", file=sys.stderr)
    return code


class Done:
    """What the jobs of one command line left behind: folders, and refusals that did not stop the others."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.refused = False
        self.sweep: Path | None = None

    def job(self, config: DictConfig) -> None:
        """One job of the command line, in this process or in ranks of its own."""
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        if settings.mode is not None and settings.mode.name == "MULTIRUN":
            self.sweep = folder.parent
        _look_in(settings.runtime.config_sources)
        try:
            _run(config, folder, settings.overrides)
            self.folders.append(folder)
        except Refusal as refusal:
            self._refuse(folder, _named(settings.overrides), str(refusal))
        except Exception as error:  # a defect of one job must not take a sweep's other jobs along
            if self.sweep is None:
                raise
            traceback.print_exc()
            self._refuse(folder, _named(settings.overrides), f"{type(error).__name__}: {one_line(error)}")

    def _refuse(self, folder: Path, name: str, reason: str) -> None:
        self.refused = True
        if launched():
            leave_word(folder, reason)
        _complain(f"{name}: {reason}" if self.sweep else reason, 1)

    def finish(self, job: str) -> int:
        """Combine the reports of a sweep and print the folder that was written; 1 if a job was refused.

        A sweep's folder is the one that holds those of its jobs.
        """
        folder = self.folders[-1] if self.folders else None
        if launched():
            return int(self.refused)
        if self.sweep and self.folders:
            folder = self.sweep
            if job == "run":
                from prunelab.artifacts.disk import refusing_disk_errors
                from prunelab.cli.jobs import combine

                with refusing_disk_errors(self.sweep.absolute(), ELSEWHERE):
                    combine(self.sweep, self.folders)
        if folder and os.environ.get("RANK", "0") == "0":
            print(folder.absolute())
        return int(self.refused)


def _named(overrides: OverridesConf) -> str:
    """A job of a sweep by what the command line set for it."""
    return ", ".join(word for word in overrides.task if not word.startswith("job="))


def _look_in(sources: Sequence[ConfigSourceInfo]) -> None:
    """Let configurations from the user's own folders name classes in files beside them."""
    for source in sources:
        if source.provider.startswith(SEARCH_PATH) and source.path not in sys.path:
            sys.path.append(source.path)


def _run(config: DictConfig, folder: Path, overrides: OverridesConf) -> None:
    check_parts(config)  # of a sweep's jobs, which combine its values, each one
    if wants_ranks(config):
        in_ranks(config, folder, overrides)
        return
    from prunelab.artifacts.disk import refusing_disk_errors
    from prunelab.cli import jobs

    jobs.quiet()
    job: Callable[[DictConfig, Path], None] = getattr(jobs, config.job)
    with refusing_disk_errors(folder.absolute(), ELSEWHERE):  # the store's are said further inside
        job(config, folder)
