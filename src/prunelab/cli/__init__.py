"""The command line: ``prunelab [JOB] key=value ...``. The only importer of hydra.

Nothing heavy is imported until a job starts: help and configuration errors answer at once.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli import elsewhere
from prunelab.cli.announcement import announcement
from prunelab.cli.arguments import LOOKS, Arguments, one_line, parse
from prunelab.cli.cell import ELSEWHERE, Cell
from prunelab.cli.checking import check
from prunelab.cli.completion import of_jobs, without_job
from prunelab.cli.driver import Sweep, driven
from prunelab.cli.looking import look
from prunelab.cli.relaunch import leave_error
from prunelab.cli.rerun import Repeated
from prunelab.cli.sbatch import SCRIPTS, script
from prunelab.cli.swept import resumed, swept
from prunelab.core import processes, stopping
from prunelab.core.errors import Refusal
from prunelab.core.own_folders import conf_folder
from prunelab.core.processes import launched, launcher
from prunelab.core.screen import SCREEN

PROGRAM = "prunelab"  # also where it was started as a module


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
    """Run a command line; 1 if a job of it was refused or failed, else 0."""
    repeated = Repeated(words)
    arguments = parse(repeated.words)
    if arguments.job in LOOKS:
        return look(arguments)
    HydraConfig.instance().cfg = None  # a job that ran in this process before says nothing of this one
    if arguments.hydras:
        _asked(arguments)
        places: list[str] = []
    else:
        configs = check(arguments)
        if arguments.job in SCRIPTS:
            print(script(arguments), end="")
            return 0
        processes.check()
        repeated.check_versions()
        _announce(arguments, configs)
        places = resumed(arguments, configs[0])
        sys.argv = [PROGRAM, *arguments.switches, *arguments.as_run([*arguments.words, *places])]
    cell = Cell(sys.argv, repeated)
    sweep = Sweep(arguments.job, arguments.words, arguments.swept, repeated.words)
    try:
        _started(cell, sweep, arguments.primary[1])
        return swept(sweep) if sweep.folder is not None else _one(cell)
    finally:
        sweep.close()


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


def _started(cell: Cell, sweep: Sweep, folder: Path | None = None) -> None:
    """Let Hydra run the job, or the jobs, that ``sys.argv`` describes; ``folder`` holds the configuration."""
    from prunelab.artifacts.disk import refusing_disk_errors

    try:
        with refusing_disk_errors(Path.cwd(), ELSEWHERE), driven(sweep):
            path = str(folder or conf_folder())
            hydra.main(config_path=path, config_name="config", version_base=None)(cell)()
    except (HydraException, OmegaConfBaseException) as error:
        raise Refusal(f"the configuration does not compose: {one_line(error)}") from error
    except ValueError as error:
        if cell.working or isinstance(error, Refusal):
            raise
        raise Refusal(f"cannot read the command line: {one_line(error)}") from error
    except OSError as error:
        if cell.working:
            raise
        raise Refusal(f"the output folder cannot be made ({one_line(error)}): {ELSEWHERE}") from error


def _one(cell: Cell) -> int:
    """The end of a single job, or of ranks that another process speaks for: the folder that was written."""
    if cell.folder is not None and not cell.refused and not launched() and processes.first():
        print(cell.folder.absolute())
    return int(cell.refused)


def _complain(line: str) -> None:
    print(f"prunelab: {line}", file=sys.stderr)
