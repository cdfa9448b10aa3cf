"""``logger=wandb``: every stage is a W&B run. wandb is imported in this package alone.

Offline whenever there is no key, or W&B does not answer: nothing waits for the network. What was logged
offline is uploaded by ``wandb sync FOLDER/wandb/offline-run-*``.
"""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.tracking import wandb_lineage
from prunelab.tracking.lenient import Lenient
from prunelab.tracking.silent import SilentRun
from prunelab.tracking.wandb_run import WandbRun
from prunelab.tracking.wandb_service import bounded, put_away, starting
from prunelab.tracking.wandb_settings import read_settings

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]

ANSWER_SECONDS = 10.0  # how long the first stage may wait for W&B before all go offline
INTERRUPTED = 255  # W&B's own exit code of a run ended by Ctrl-C, or by another signal
UPLOAD_SECONDS = 20.0  # how long the end of a stage may wait for its uploads; the rest stays on disk
LONGEST_TAG = 64  # characters, as W&B has them


class WandbTracker:
    """Opens W&B runs.

    project, group: where the runs appear. folder: what wandb writes goes to ``folder/wandb``.
    mode: ``online``, ``offline`` or ``disabled``; None follows WANDB_MODE and whether there is a key.
    tags: of every run. models: whether saved models are uploaded, and not only named.
    Raises Refusal when wandb is not installed, or cannot read its own settings.
    """

    def __init__(
        self,
        project: str,
        group: str | None,
        folder: str | Path,
        mode: Mode | None = None,
        tags: Sequence[str] = (),
        models: bool = False,
    ) -> None:
        if mode not in (None, *get_args(Mode)):
            raise Refusal(f"logger.mode={mode}: it is online, offline or disabled, or null to let W&B decide")
        with _environment(WANDB_SILENT="true"):
            server = read_settings().base_url
        self.project, self.group, self.folder = project, group, Path(folder).absolute()
        self.mode: Mode = _mode(mode, os.environ.get("WANDB_MODE"), _has_key(server))
        self.tags, self.models = tuple(tags), models
        self._failures = 0

    @contextmanager
    def stage(
        self,
        job_type: str,
        config: Mapping[str, object],
        inputs: Mapping[str, str],
        output: str,
        *,
        label: str = "",
        tags: Sequence[str] = (),
    ) -> Iterator[WandbRun | SilentRun]:
        """See :class:`prunelab.tracking.protocol.Tracker`. Ranks other than the first log nothing.

        Whatever happens to W&B inside is one line on standard error; whatever else happens passes through.
        """
        record = {**config, "inputs": dict(inputs), "output": output}
        folder = str(self.folder / "wandb")
        with _environment(_cache(folder), WANDB_DATA_DIR=folder, WANDB_SILENT="true"):
            told: dict[str, Any] = {
                "id": self._identity(output) if label else output,
                "name": label or output,
                "job_type": job_type,
                "config": record,
                "tags": [tag[:LONGEST_TAG] for tag in dict.fromkeys((*self.tags, *tags)) if tag],
            }
            opened = self._opened(told, bool(label)) if processes.first() else None
            if opened is None:
                yield SilentRun()
                return
            wandb_lineage.never_ask(opened)
            run = WandbRun(opened, self._lost)
            run.attempt(lambda each: wandb_lineage.use(each, inputs), ANSWER_SECONDS)
            try:
                yield run
            except BaseException as stop:  # how it ended is recorded on the way
                code = INTERRUPTED if isinstance(stop, KeyboardInterrupt | SystemExit) else 1
                run.attempt(lambda each: each.finish(exit_code=code))
                raise
            made = (output, record, run.folder, self.models)
            run.attempt(lambda each: wandb_lineage.make(each, *made), ANSWER_SECONDS)
            run.attempt(lambda each: each.finish(exit_code=0), UPLOAD_SECONDS)

    def _opened(self, told: Mapping[str, Any], packages: bool) -> wandb.Run | None:
        """An online run if that is wanted and W&B answers, else an offline one from now on, else none.

        packages: whether it lists all that is installed, which takes a fifth of a second each time.
        """
        if self.mode == "online":
            with Lenient(self._unanswered):
                return self._init(told, packages)
        if self.mode == "offline":
            with Lenient(self._lost):
                return self._init(told, packages)
        return None

    def _identity(self, output: str) -> str:
        """Of a job, which belongs to one group: the same results may be a job of several."""
        return output if self.group is None else f"{output}-{sha256(self.group.encode()).hexdigest()[:6]}"

    def _unanswered(self, error: Exception) -> None:
        self._say(f"W&B gave no answer ({_named(error)}): logging offline to {self.folder}/wandb")
        self.mode = "offline"
        put_away()

    def _lost(self, error: Exception) -> None:
        """The stage goes on without W&B; a later one tries once more, offline."""
        self._failures += 1
        self.mode = "offline" if self._failures == 1 else "disabled"
        rest = "this stage is" if self._failures == 1 else "from here on nothing is"
        self._say(f"W&B failed ({_named(error)}): {rest} not logged any further, the run goes on")
        put_away()

    def lenient(self, instead: str) -> Lenient:
        """A block that may fail to reach W&B: one line says so, and what there is ``instead``."""
        return Lenient(lambda error: self._say(f"W&B failed ({_named(error)}): {instead}"))

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def _init(self, told: Mapping[str, Any], packages: bool) -> wandb.Run:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        with starting(), bounded(ANSWER_SECONDS):
            return wandb.init(
                project=self.project,
                group=self.group,
                dir=self.folder,
                mode=self.mode,
                reinit="create_new",
                resume="allow" if self.mode == "online" else None,
                settings=wandb.Settings(
                    console="off",
                    silent=True,
                    init_timeout=ANSWER_SECONDS,
                    finish_timeout=UPLOAD_SECONDS,
                    finish_timeout_raises=True,
                    x_save_requirements=packages,
                ),
                **told,
            )


def _named(error: Exception) -> str:
    """An error by its type: its own text may quote what was sent, or a key."""
    return type(error).__name__


def _mode(asked: Mode | None, environment: str | None, has_key: bool) -> Mode:
    """``disabled`` wins, then whatever says offline, then online where there is a key."""
    said = {asked, environment}
    if "disabled" in said:
        return "disabled"
    return "offline" if said & {"offline", "dryrun"} or not has_key else "online"


def _has_key(base_url: str) -> bool:
    """Whether the environment or the netrc file has an API key for the server; the key is not read."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    paths = [Path(os.environ.get("NETRC", "~/.netrc")), Path("~/_netrc")]
    host = urlsplit(base_url).hostname or ""
    return any(_names_host(path.expanduser(), host) for path in paths)


def _names_host(path: Path, host: str) -> bool:
    try:
        return host in netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False


def _cache(folder: str) -> dict[str, str]:
    """``folder`` for what W&B's process logs, where it has none of its own: it would log onto the screen."""
    import wandb

    try:
        wandb.env.get_cache_dir().mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter of a user without a home
        return {"WANDB_CACHE_DIR": folder}
    return {}


@contextmanager
def _environment(forced: Mapping[str, str] | None = None, **wanted: str) -> Iterator[None]:
    """Set variables for the block: what is wanted unless the user has set it, what is forced in any case."""
    added = {name: value for name, value in wanted.items() if name not in os.environ} | dict(forced or {})
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
