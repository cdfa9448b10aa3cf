"""From a resolved configuration to the objects that the stages work with."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra.utils
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from prunelab.artifacts import Store, default_root
from prunelab.cli.inputs import OURS
from prunelab.cli.making import instantiate, tracker
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.core.remembered import HASHES, remember_in
from prunelab.core.settings import known_as, left_out
from prunelab.core.sparsity import Sparsity
from prunelab.core.tasks import Task
from prunelab.engine import ranks
from prunelab.stages.bench import Bench, Part
from prunelab.stages.request import Request
from prunelab.tracking.silent import SilentTracker
from prunelab.trainers.hardware import Hardware
from prunelab.walkers.walk import add

# Keys that a row of the report says in fields of their own, or that decide no number in it.
SAID = frozenset(
    (
        *("task", "model", "scorer", "granularity", "budget", "budget.of", "bypass", "sparsity", "recovery"),
        *("seed", "experiment", "sweep", "scratch", "job", "path"),
        *("trainer", "devices", "cluster", "until", "logger", "group", "store", "objective", "keep"),
        *("quiet", "verbose"),
    )
)


def choice(group: str) -> str:
    """The name of the file chosen for a configuration group."""
    return str(HydraConfig.get().runtime.choices[group])


def part(group: str, node: DictConfig, leave_out: tuple[str, ...] = ()) -> Part[Any]:
    """The object a node describes, with the settings that decide its results; ``leave_out`` names others."""
    settings: dict[str, Any] = {key: value for key, value in plain(node).items() if key not in leave_out}
    return Part(choice(group), instantiate(settings, _convert_="all"), _addressed(settings))


def plain(node: Any) -> Any:
    """A node as plain containers, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _addressed(settings: Any) -> Any:
    """What of a part's settings enters addresses: all but what its class declares to say how it runs."""
    if isinstance(settings, Mapping):
        target = settings.get("_target_")
        if target is None:
            return {key: _addressed(value) for key, value in settings.items()}
        kind = hydra.utils.get_object(target)
        out = left_out(kind, settings)
        deciding = {key: _addressed(value) for key, value in settings.items() if key not in out}
        return {**deciding, "_target_": known_as(kind, target)}
    if isinstance(settings, list):
        return [_addressed(each) for each in settings]
    return settings


def hardware(config: DictConfig) -> Hardware:
    """Where the job runs; joins the other ranks if there are any."""
    chosen: Hardware = instantiate(config.trainer, devices=config.devices, precision=config.precision)
    ranks.start(chosen.accelerator)
    return chosen


def model(config: DictConfig, shapes: bool = False) -> Model:
    """The model, from its own folder or the one given by ``path``; ``shapes`` alone where it knows how to."""
    ours = str(config.model.open.get("_target_")).startswith(OURS)
    opened: Model = instantiate(config.model.open, **({"shapes": True} if shapes and ours else {}))
    return opened


def task(config: DictConfig) -> Task:
    """The task, with its data and its judge."""
    # Handed over apart: given to instantiate, a dataclass would be taken for a configuration.
    data = instantiate(config.data, _convert_="all")
    made: Task = instantiate(config.task, _partial_=True, _convert_="all")(data=data)
    return made


def bench(config: DictConfig, check: Callable[[Task], None] | None = None, shapes: bool = False) -> Bench:
    """Everything the stages work with; what ``check`` refuses is refused before the model is opened.

    ``shapes``: to plan, weights are not read and nothing is logged.
    """
    where = hardware(config)
    store = Store(config.store or default_root())
    remember_in(store.root / HASHES)
    chosen = task(config)
    if check is not None:
        check(chosen)
    logged = SilentTracker() if shapes else tracker(config)
    return Bench(store, logged, where, model(config, shapes), chosen)


def request(config: DictConfig) -> Request:
    """The factors of one run."""
    recovers = config.recovery.get("method") is not None
    granularity = granularities(config)
    budget = part("budget", config.budget)
    return Request(
        scorer=part("scorer", config.scorer),
        granularity=granularity,
        components=names(config, "components"),
        budget=budget,
        sparsity=Sparsity(plain(config.sparsity), budget.value.of),
        recovery=part("recovery", config.recovery) if recovers else None,
        bypass=part("bypass", config.bypass),
        evaluation=part("evaluation", config.evaluation, leave_out=("timing",)),
        timing=part("evaluation", config.evaluation.timing),
        metrics=_addressed(plain(config.task.metrics)),
        labels=labels(granularity),
        seed=config.seed,
        rounds=config.rounds,
        scratch=config.scratch,
        until=config.until,
    )


def granularities(config: DictConfig) -> list[str]:
    """The names of the chosen granularities; from here on each stands for what its file describes."""
    chosen = [instantiate(node) for node in config.granularity.values()]
    for each in chosen:
        add(each)
    return [each.name for each in chosen]


def names(config: DictConfig, key: str) -> list[str]:
    """The value of a key that takes one name or several."""
    value = plain(config[key])
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(name, str) and name for name in listed):
        raise Refusal(f"{key}={value} names nothing: give one name, or several as {key}=[one,two]")
    return listed


def labels(granularity: Sequence[str]) -> dict[str, Any]:
    """What a row of the report calls the choices."""
    chosen = {key: choice(key) for key in ("task", "model", "scorer", "budget", "recovery", "bypass")}
    return {**chosen, "model": _model(), "granularity": "+".join(granularity), "settings": _settings()}


def _model() -> str:
    """What the model is called: a folder in the place of the task's own model by its name."""
    named, words = choice("model"), HydraConfig.get().overrides.task
    given = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("path=")]
    chosen = any(word.startswith("model=") for word in words)
    return Path(given[-1]).expanduser().name or named if given and not chosen else named


def _settings() -> dict[str, str] | None:
    """What the command line or the sweep sets that a row does not say otherwise, by key."""
    pairs = (word.lstrip("+~").partition("=") for word in HydraConfig.get().overrides.task)
    told = {key: value for key, _, value in sorted(pairs) if key not in SAID}
    return {key: value for key, value in told.items() if not key.startswith("cluster.")} or None


def pretraining_folder(config: DictConfig, fingerprint: str) -> Path:
    """Where the phases of a model's pretraining lie: another recipe has another folder."""
    root = Store(config.store or default_root()).root
    return root / "pretrained" / f"{choice('model')}-{fingerprint[:12]}"
