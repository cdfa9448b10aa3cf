"""The driver of a sweep: it starts jobs through whatever launcher was chosen, and reads back what they left.

Hydra's launchers return what jobs returned, from memory or a pickle; one lost process takes the results of
all along, and a failed job looks like any other. Here every job's own record counts. What is finished is not
started again, a job that was lost is, as often as its class of failure allows, and the driver itself may die:
the same command goes on in the same folder.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.artifacts.locks import Taken, locked
from prunelab.cli import provenance
from prunelab.cli.arguments import quoted
from prunelab.cli.cell import ELSEWHERE, say
from prunelab.cli.job_record import JobRecord, named, read_job
from prunelab.cli.slurm_queue import ended_as
from prunelab.cli.standing import LOCKS, begun, finished, key
from prunelab.cli.submitted import each_waited_for
from prunelab.cli.sweep_record import SweepJob, SweepRecord, read_sweep
from prunelab.cli.sweep_record import begun as sweep_begun
from prunelab.core import processes, stopping
from prunelab.core.errors import Refusal
from prunelab.core.failures import Failure, of_scheduler, once_more

DRIVER = "driver.lock"


class Sweep:
    """The sweep of one command line: its folder, its list of jobs, and the lock that says it is driven.

    keys: what differs between its jobs, which names them. given: the words of the command line, the job's
    among them.
    """

    def __init__(self, job: str, words: Sequence[str], keys: Sequence[str], given: Sequence[str]) -> None:
        self.job, self.words, self.keys = job, list(words), list(keys)
        self.given = list(given)
        self.folder: Path | None = None
        self.record: SweepRecord | None = None
        self.held = ExitStack()

    def open(self, folder: Path, launcher: str, total: int) -> SweepRecord:
        """Take the folder: of a sweep of before, if the same command started it, with its list."""
        with refusing_disk_errors(folder, ELSEWHERE):
            lock = folder / LOCKS / DRIVER
            lock.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.held.enter_context(locked(lock, f"drives the sweep in {folder}", ELSEWHERE, wait=False))
            except Taken as error:
                remedy = "wait for it, or set hydra.sweep.dir=FOLDER to another one"
                raise Refusal(f"{error}: {remedy}") from error
            known = read_sweep(folder)
            if known is None or (known.job, known.words) != (self.job, self.words):
                known = sweep_begun(self.job, self.words, launcher)
                provenance.leave_sweep(folder, self.given)
        known.launcher, known.total, known.finished = launcher, total, False
        self.folder, self.record = folder, known
        return known

    def finish(self) -> None:
        """Nothing is left to do: the same command starts another sweep."""
        assert self.record is not None and self.folder is not None  # noqa: PT018
        self.record.finished = True
        self.record.write(self.folder)

    def close(self) -> None:
        """Let others drive it."""
        self.held.close()

    def in_vain(self) -> bool:
        """Whether jobs have run and none of them is done."""
        records = [record for _, record in self.records()]
        return bool(records) and all(each is None or each.state != "done" for each in records)

    def records(self) -> list[tuple[SweepJob, JobRecord | None]]:
        """Every job with its record."""
        return self.record.records(self.folder) if self.record and self.folder else []


class Driver(Launcher):
    """In the place of a launcher, which it makes use of."""

    def __init__(self, inner: Launcher, sweep: Sweep, context: HydraContext, config: DictConfig) -> None:
        self.inner, self.sweep, self.context, self.config = inner, sweep, context, config
        self._tries: dict[int, list[Failure]] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing: the launcher inside was set up when it was made."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run these jobs until each is finished or has failed for good; what a search wants of each."""
        if processes.grouped():  # ranks that run the whole command together decide nothing apart
            return self._together(job_overrides, initial_job_idx)
        folder, record = self._opened()
        jobs = [self._job(number, words) for number, words in enumerate(job_overrides, start=initial_job_idx)]
        record.add(jobs)
        record.write(folder)
        before = [job for job in jobs if self._done(folder, job)]
        for job in before:
            say(f"job {job.number + 1}/{record.total}: {job.name} is done, see {folder / job.folder}")
        todo = [job for job in jobs if job not in before]
        while todo:
            self._attempt(folder, todo)
            todo = [job for job in todo if self._again(job)]
        return [_returned(folder, job) for job in jobs]

    def _together(self, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        if processes.first():
            folder, record = self._opened()
            record.add([self._job(number, words) for number, words in enumerate(job_overrides, start=first)])
            record.write(folder)
        return self.inner.launch(job_overrides, initial_job_idx=first)

    def _opened(self) -> tuple[Path, SweepRecord]:
        if self.sweep.folder is None or self.sweep.record is None:
            name = str(self.config.hydra.runtime.choices["hydra/launcher"])
            total = OmegaConf.select(self.config, "hydra.sweeper.n_trials") or 0
            folder = Path(str(self.config.hydra.sweep.dir)).absolute()
            return folder, self.sweep.open(folder, name, int(total))
        return self.sweep.folder, self.sweep.record

    def _job(self, number: int, words: Sequence[str]) -> SweepJob:
        """A job of the list, with the folder that its number and words give it."""
        folder = as_written(self.config)["subdir"]
        if folder == "${hydra.job.num}":
            folder = str(number)
        else:
            composed = self._composed(words)
            with open_dict(composed):
                composed.hydra.job.num = number
            folder = str(OmegaConf.select(composed, "hydra.sweep.subdir"))
        keys = [*self.sweep.keys, *(OmegaConf.select(self.config, "hydra.sweeper.params") or {})]
        return SweepJob(number=number, name=named(words, keys), folder=folder, words=list(words))

    def _composed(self, words: Sequence[str]) -> DictConfig:
        return self.context.config_loader.load_sweep_config(self.config, list(words))

    def _done(self, folder: Path, job: SweepJob) -> bool:
        """Whether the job was finished before, in another run of this command."""
        place = folder / job.folder
        if read_job(place) is None:
            return False
        composed = self._composed(job.words)
        with open_dict(composed):
            del composed["hydra"]
        return finished(place, key(composed)) is not None

    def _attempt(self, folder: Path, jobs: Sequence[SweepJob]) -> None:
        """Start the jobs once, and see to it that each has a record that says how that ended."""
        before = {job.number: _attempts(folder, job) for job in jobs}
        words = [[*job.words, f"hydra.sweep.subdir={quoted(job.folder)}"] for job in jobs]
        trouble: list[BaseException] = []
        try:
            with each_waited_for() as lost:
                self.inner.launch(words, initial_job_idx=jobs[0].number)
            trouble += lost
        except (BrokenExecutor, RuntimeError, OSError, stopping.Stopped) as error:
            stopping.check()
            trouble.append(error)
        why = f" ({str(trouble[0]).strip().splitlines()[-1]})" if trouble and str(trouble[0]).strip() else ""
        if trouble and all(_attempts(folder, job) == before[job.number] for job in jobs):
            raise Refusal(
                f"the launcher of hydra/launcher=NAME started no job{why}: choose another, or mend it"
            )
        for job in jobs:
            failure = self._settled(folder, job, before[job.number], why)
            if failure is None:
                self._tries.pop(job.number, None)
            else:
                self._tries.setdefault(job.number, []).append(failure)

    def _settled(self, folder: Path, job: SweepJob, before: int, why: str) -> Failure | None:
        """The failure that an attempt ended with, written down for it where it could not do so itself."""
        place = folder / job.folder
        record = read_job(place)
        if record is None or (record.state != "done" and len(record.attempts) == before):
            record = begun(place, self._composed(job.words), job.number, job.name, job.words)
            record.begin()  # it did not even come to that
        if record.state == "running":
            failure = of_scheduler(ended_as(record.last.slurm_job))
            record.end(failure, f"its process ended without a word{why}")
            record.write(place)
        return record.last.failure if record.state == "failed" else None

    def _again(self, job: SweepJob) -> bool:
        failures = self._tries.get(job.number, [])
        again = bool(failures) and once_more(failures)
        if again:
            say(f"job {job.number + 1}: {job.name}: {failures[-1]}, once more")
        return again


def as_written(config: DictConfig) -> dict[str, str]:
    """The places of a sweep's outputs, with what only a running job knows left as it is."""
    places: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    return {key: str(value) for key, value in places.items()}


@contextmanager
def driven(sweep: Sweep) -> Iterator[None]:
    """Inside, Hydra's sweepers get a Driver where they ask for their launcher."""
    original = Plugins.instantiate_launcher

    def instantiate(
        plugins: Plugins, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> Launcher:
        inner = original(plugins, hydra_context, task_function, config)
        return Driver(inner, sweep, hydra_context, config)

    Plugins.instantiate_launcher = instantiate  # type: ignore[method-assign,assignment]
    try:
        yield
    except ValueError as error:  # of a search that has found nothing: each job says why
        if isinstance(error, Refusal) or not sweep.in_vain():
            raise
    finally:
        Plugins.instantiate_launcher = original  # type: ignore[method-assign]


def _attempts(folder: Path, job: SweepJob) -> int:
    record = read_job(folder / job.folder)
    return len(record.attempts) if record is not None else 0


def _returned(folder: Path, job: SweepJob) -> JobReturn:
    """What a sweeper takes for the job's result: of a failed one nothing, which stops no other."""
    record = read_job(folder / job.folder)
    value: Any = record.value if record is not None and record.state == "done" else None
    return JobReturn(overrides=job.words, status=JobStatus.COMPLETED, _return_value=value)
