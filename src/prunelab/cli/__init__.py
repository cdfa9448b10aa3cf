"""The command line: ``prunelab [JOB] key=value ...``. The only importer of hydra.

Nothing heavy is imported until a job starts: help and configuration errors answer at once.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.conf import ConfigSourceInfo, OverridesConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli import elsewhere, provenance
from prunelab.cli.announcement import announcement, stages
from prunelab.cli.arguments import SEARCH_PATH, Arguments, one_line, parse
from prunelab.cli.checking import check
from prunelab.cli.completion import of_jobs, without_job
from prunelab.cli.part_checks import check_parts
from prunelab.cli.relaunch import in_ranks, leave_error, wants_ranks
from prunelab.cli.rerun import Repeated
from prunelab.cli.sbatch import SCRIPTS, script
from prunelab.core import processes, stopping
from prunelab.core.errors import Refusal
from prunelab.core.presets import conf_folder
from prunelab.core.processes import launched, launcher
from prunelab.core.screen import SCREEN

PROGRAM = "prunelab"  # also where it was started as a module
ELSEWHERE = "set hydra.run.dir=FOLDER (of a sweep: hydra.sweep.dir) to one that can"


def main() -> None:
    """Run the job named by the first word; exit code 0 only when every job of a sweep ended well.

    Told to stop by a signal, it ends within seconds with 128 and the signal's number.
    """
    try:
        silent, parent = launched() or not processes.first(), launcher()
    except Refusal as error:
        _complain(str(error))
        sys.exit(1)
    with stopping.watched(parent, silent) as watch:
        code = _code(watch)
    if watch.told:
        code = 128 + watch.told
        if processes.spoken_for():
            code = 0  # srun ends all tasks when one fails, and the first is still to say how to go on
        elif not silent:
            stopping.say(watch.told)
    elif code:
        processes.leave_the_word()
    if watch.told or (code and launched()):
        stopping.end_within(stopping.GRACE, code)
    sys.exit(code)


def _code(watch: stopping.Watch) -> int:
    """The exit code of the command line, unless it was told to stop."""
    elsewhere.prepare()
    try:
        return command(sys.argv[1:])
    except stopping.Stopped:
        watch.over = True
    except KeyboardInterrupt:  # raised by a library, without a signal
        watch.told = watch.told or signal.SIGINT
    except Exception as error:
        if watch.told:  # what a signal leads to, such as a partner that is gone, is no news
            return 1
        processes.leave_the_word()
        if launched():
            leave_error(error)
        elif isinstance(error, Refusal):
            if processes.first() or processes.grouped():  # of those that srun started one line is enough
                _complain(str(error))
        else:
            raise
    return 1


def command(words: Sequence[str]) -> int:
    """Run a command line; 1 if a job of it was refused, else 0."""
    repeated = Repeated(words)
    arguments = parse(repeated.words)
    HydraConfig.instance().cfg = None  # a job that ran in this process before says nothing of this one
    done = Done(repeated)
    if arguments.hydras:
        _asked(arguments)
    else:
        configs = check(arguments)
        if arguments.job in SCRIPTS:
            print(script(arguments), end="")
            return 0
        processes.check()
        repeated.check_versions()
        _announce(arguments, configs)
        sys.argv = [PROGRAM, *arguments.switches, *arguments.as_run(arguments.words)]
    _started(done.job, arguments.primary[1])
    return done.finish(arguments.job)


def _announce(arguments: Arguments, configs: Sequence[DictConfig]) -> None:
    """The first line on the screen, before seconds of imports; once for all processes of a job."""
    SCREEN.set(configs[0].quiet, configs[0].verbose)
    if not arguments.asks and processes.first() and not launched():
        SCREEN.tell(announcement(arguments, configs))


def _asked(arguments: Arguments) -> None:
    """Hand a question to Hydra itself: words that are about no job are not checked as if they were."""
    words = [] if "--hydra-help" in arguments.switches else arguments.words
    sys.argv = [PROGRAM, *arguments.switches, *words]
    if any(word.startswith("query=") for word in words):
        line = os.environ.get("COMP_LINE", f"{PROGRAM} ")
        print(*of_jobs(line))
        os.environ["COMP_LINE"] = without_job(line)


def _started(job: Callable[[DictConfig], None], folder: Path | None = None) -> None:
    """Let Hydra run the job, or the jobs, that ``sys.argv`` describes; ``folder`` holds the configuration."""
    from prunelab.artifacts.disk import refusing_disk_errors

    working, line = False, elsewhere.home()

    def marked(config: DictConfig) -> None:
        nonlocal working
        working = True
        with elsewhere.prepared(line):
            job(config)
        working = False

    try:
        with refusing_disk_errors(Path.cwd(), ELSEWHERE):
            path = str(folder or conf_folder())
            hydra.main(config_path=path, config_name="config", version_base=None)(marked)()
    except (HydraException, OmegaConfBaseException) as error:
        raise Refusal(f"the configuration does not compose: {one_line(error)}") from error
    except ValueError as error:
        if working:
            raise
        raise Refusal(f"cannot read the command line: {one_line(error)}") from error
    except OSError as error:
        if working:
            raise
        raise Refusal(f"the output folder cannot be made ({one_line(error)}): {ELSEWHERE}") from error


def _complain(line: str) -> None:
    print(f"prunelab: {line}", file=sys.stderr)


class Done:
    """What the jobs of one command line left behind: folders, and refusals that did not stop the others."""

    def __init__(self, repeated: Repeated) -> None:
        self.repeated = repeated
        self.folders: list[Path] = []
        self.refused = False
        self.sweep: Path | None = None

    def job(self, config: DictConfig) -> None:
        """One job of the command line, in this process or in ranks of its own."""
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        if settings.mode is not None and settings.mode.name == "MULTIRUN":
            self._sweeping(folder.parent)
        _look_in(settings.runtime.config_sources)
        try:
            _run(config, folder, settings.overrides, self.repeated)
            self.folders.append(folder)
        except Exception as error:
            stopping.check()  # what a signal leads to, such as a partner that is gone, is no news
            if not isinstance(error, Refusal) and self.sweep is None and not launched():
                raise  # a defect; one of a sweep's must not take the other jobs along
            self._failed(_named(settings.overrides), error)

    def _sweeping(self, folder: Path) -> None:
        """Note the sweep's folder, and let it say what it is from its first job on."""
        if self.sweep is None and processes.first():
            from prunelab.artifacts.disk import refusing_disk_errors

            with refusing_disk_errors(folder.absolute(), ELSEWHERE):
                provenance.leave_sweep(folder, self.repeated.words)
        self.sweep = folder

    def _failed(self, name: str, error: Exception) -> None:
        self.refused = True
        reason = str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {one_line(error)}"
        if launched():
            leave_error(error)
            return
        if not isinstance(error, Refusal):
            traceback.print_exception(error)
        _complain(f"{name}: {reason}" if self.sweep else reason)

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
        if folder and processes.first():
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


def _run(config: DictConfig, folder: Path, overrides: OverridesConf, repeated: Repeated) -> None:
    check_parts(config)  # of a sweep's jobs, which combine its values, each one
    if wants_ranks(config):
        in_ranks(config, folder, overrides)
        return
    from prunelab.artifacts.disk import refusing_disk_errors
    from prunelab.cli import jobs

    SCREEN.set(config.quiet, config.verbose, stages(config) if config.job == "run" else None)
    if not config.verbose:
        jobs.quiet()
    job: Callable[[DictConfig, Path], None] = getattr(jobs, config.job)
    with refusing_disk_errors(folder.absolute(), ELSEWHERE):  # the store's are said further inside
        if processes.first():
            repeated.check_settings(provenance.settings(config))
            provenance.leave(folder, config.job, overrides, config)
        job(config, folder)
