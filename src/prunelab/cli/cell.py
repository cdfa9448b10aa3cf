"""A job as Hydra calls it, in whatever process its launcher has started for it.

What became of it goes into the job's own folder (``job.json``), from which the command that started the
sweep, ``prunelab status`` and the next command read it: no process sees the memory of another.
"""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.conf import ConfigSourceInfo, HydraConf, OverridesConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.artifacts.locks import locked
from prunelab.cli import elsewhere, provenance
from prunelab.cli.announcement import stages
from prunelab.cli.arguments import SEARCH_PATH, one_line
from prunelab.cli.job_record import JOB, JobRecord, Value, named
from prunelab.cli.objective import objective
from prunelab.cli.part_checks import check_parts
from prunelab.cli.relaunch import in_ranks, leave_error, wants_ranks
from prunelab.cli.rerun import Repeated
from prunelab.cli.slurm_queue import late
from prunelab.cli.standing import begun, finished, finished_before, key, lock_file
from prunelab.cli.sweep_record import SweepJob, read_sweep
from prunelab.core import processes, stopping
from prunelab.core.errors import Refusal
from prunelab.core.failures import classify
from prunelab.core.screen import SCREEN

if TYPE_CHECKING:
    from prunelab.tracking.summary_run import Summary

ELSEWHERE = "set hydra.run.dir=FOLDER (of a sweep: hydra.sweep.dir) to one that can"


class Cell:
    """The function that Hydra runs; launchers send it to processes of theirs.

    words: the command line as Hydra was given it, its program first. repeated: what it repeats, if it does.
    What is learnt of a single job, which always runs in the command's own process, is kept here; a sweep's
    command reads records.
    """

    def __init__(self, words: Sequence[str], repeated: Repeated) -> None:
        self.words, self.repeated = list(words), repeated
        self.folder: Path | None = None
        self.refused = self.working = False
        self._home = elsewhere.home()

    def __call__(self, config: DictConfig) -> Value:
        """Run the job; the number that a search wants of it, None where it failed or none was asked for."""
        self.working = True
        sys.argv = list(self.words)
        with elsewhere.prepared(self._home):
            value = self._run(config)
        self.working = False
        return value

    def _run(self, config: DictConfig) -> Value:
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        look_in(settings.runtime.config_sources)
        swept = settings.mode is not None and settings.mode.name == "MULTIRUN"
        if processes.launched() or not processes.first():
            if not (swept and processes.of_a_step() and finished_before(folder, key(config))):
                self._of_many(config, folder, settings.overrides)
            return None
        if swept:
            return self._of_sweep(config, folder, settings)
        self.folder = folder
        words = list(settings.overrides.task)
        record = begun(folder, config, None, named(words), words)
        return self._recorded(config, folder, record, single=True)

    def _of_many(self, config: DictConfig, folder: Path, overrides: OverridesConf) -> None:
        """A rank that another process speaks for, and keeps the record of."""
        try:
            work(config, folder, overrides, self.repeated)
        except Exception as error:
            stopping.check()
            self.refused = True
            if processes.launched():
                leave_error(error)
            elif isinstance(error, Refusal):
                say(f"prunelab: {reason_of(error)}")
            else:
                raise

    def _of_sweep(self, config: DictConfig, folder: Path, settings: HydraConf) -> Value:
        """A job of a sweep: whoever runs it holds it, and what is finished is not run again."""
        sweep = Path(settings.sweep.dir).absolute()
        record = read_sweep(sweep)
        known = record.jobs if record is not None else []
        mine = (each for each in known if (sweep / each.folder).resolve() == folder.resolve())
        job = next(mine, _unlisted(settings, folder))
        title = f"job {job.number + 1}{f'/{record.total}' if record is not None else ''}"
        # Ranks that torchrun grouped all run it, and speak with each other inside; those of a step look here.
        alone = not processes.grouped() or processes.of_a_step()
        with locked(lock_file(sweep, job), f"runs {title}", ELSEWHERE) if alone else nullcontext():
            begin = begun(folder, config, job.number, job.name, job.words)
            if alone and (before := finished(folder, begin.key)):
                SCREEN.tell(f"{title}: {job.name} is done, see {folder}")
                return before.value
            SCREEN.set(config.quiet, config.verbose)
            SCREEN.tell(f"{title}: {job.name}")
            return self._recorded(config, folder, begin, single=False)

    def _recorded(self, config: DictConfig, folder: Path, record: JobRecord, single: bool) -> Value:
        """Run the job with every turn of its fate written down."""
        record.begin()
        _keep(record, folder)
        try:
            record.value = value = self._tried(config, folder, record)
        except (stopping.Stopped, KeyboardInterrupt) as stop:
            record.end(classify(stop, late(config.cluster.notice)), f"stopped by {_signal(stop)}")
            _keep(record, folder)
            raise
        except Exception as error:
            failure, reason = classify(error), reason_of(error)
            record.end(failure, reason)
            _keep(record, folder)
            if single and not isinstance(error, Refusal):
                raise  # a defect; one of a sweep's must not take the other jobs along
            self.refused = True
            if not isinstance(error, Refusal):
                traceback.print_exception(error)
            say(f"prunelab: {reason}" if single else f"{failure}: {reason}")
            return None
        record.end()
        _keep(record, folder)
        return value

    def _tried(self, config: DictConfig, folder: Path, record: JobRecord) -> Value:
        """The job, and what is read of its report; what a signal leads to raises Stopped."""
        try:
            work(config, folder, HydraConfig.get().overrides, self.repeated)
            record.addresses, value = objective(folder, config)
        except Exception:
            stopping.check()  # what a signal leads to, such as a partner that is gone, is no news
            raise
        return value


def _keep(record: JobRecord, folder: Path) -> None:
    """Write the record; a disk that takes no more does not take the job's own words from it."""
    try:
        record.write(folder)
    except OSError as error:
        say(f"{folder / JOB} cannot be written: {one_line(error)}")


def work(config: DictConfig, folder: Path, overrides: OverridesConf, repeated: Repeated) -> None:
    """Do what the configuration says, in this process or in ranks of its own."""
    check_parts(config)  # of a sweep's jobs, which combine its values, each one
    if wants_ranks(config):
        in_ranks(config, folder, overrides)
        return
    from prunelab.cli import ingredients, kept

    SCREEN.set(config.quiet, config.verbose, stages(config) if config.job == "run" else None)
    with refusing_disk_errors(folder.absolute(), ELSEWHERE):  # the store's are said further inside
        if processes.first():
            repeated.check_settings(provenance.settings(config))
        known = ingredients.key(config)
        if known is not None and kept.serve(known, config, folder, overrides):
            return
        summary = _computed(config, folder, overrides)
        if known is not None and known == ingredients.key(config):  # nothing changed on the way
            kept.keep(known, config, folder, summary)


def _computed(config: DictConfig, folder: Path, overrides: OverridesConf) -> "Summary | None":
    """The job, with all that it takes, which is imported here; of a run, its summary."""
    from prunelab.cli import jobs

    if not config.verbose:
        jobs.quiet()
    job: Callable[[DictConfig, Path], Summary | None] = getattr(jobs, config.job)
    if processes.first():
        provenance.leave(folder, config.job, overrides, config)
    return job(config, folder)


def reason_of(error: Exception) -> str:
    """An error in one line."""
    return str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {one_line(error)}"


def say(line: str) -> None:
    """A line on standard error."""
    print(line, file=sys.stderr, flush=True)


def look_in(sources: Sequence[ConfigSourceInfo]) -> None:
    """Let configurations from the user's own folders name classes in files beside them."""
    for source in sources:
        if source.provider.startswith(SEARCH_PATH) and source.path not in sys.path:
            sys.path.append(source.path)


def _signal(stop: BaseException) -> str:
    number = stop.number if isinstance(stop, stopping.Stopped) else signal.SIGINT
    return signal.Signals(number).name


def _unlisted(settings: HydraConf, folder: Path) -> SweepJob:
    """A job that no list has, as of a sweeper that starts its jobs by itself."""
    words = list(settings.overrides.task)
    number = int(settings.job.num or 0)
    return SweepJob(number=number, name=named(words), folder=folder.name, words=words)
