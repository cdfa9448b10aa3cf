"""Check a command line before anything is imported or started, and say what would have worked."""

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import IntervalSweep, Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prunelab.cli.arguments import SEARCH_PATH, Arguments, nearest, one_line, parse_overrides
from prunelab.cli.inputs import check_inputs
from prunelab.cli.outputs import check_outputs
from prunelab.cli.part_checks import check_parts
from prunelab.cli.plugins import installation
from prunelab.cli.reading import folders, read_carefully
from prunelab.cli.remembering import remember
from prunelab.core.complaints import shown
from prunelab.core.errors import Refusal
from prunelab.core.own_folders import conf_folder

MOST_JOBS = 1000  # of one key in a sweep


def check(arguments: Arguments) -> list[DictConfig]:
    """The configurations that the command line stands for; of a sweep, such as hold every value between them.

    Refuses an unknown choice, an unknown key or an impossible value, in one line.
    """
    configs = []
    read_carefully()
    remember()
    primary, folder = arguments.primary
    with initialize_config_dir(str(folder or conf_folder()), job_name="prunelab", version_base=None):
        search = [word for word in arguments.words if word.startswith(f"{SEARCH_PATH}=")]
        keys = {each.key_or_group for each in arguments.overrides}
        known = {key: choices(key, search, primary) for key in keys}
        for override in arguments.overrides:
            _check_override(override, arguments, known[override.key_or_group])
        groups = {key for key, names in known.items() if names}
        for words in _lines(arguments.overrides):
            config = _check_composed(primary, arguments.as_run(words), {*groups, SEARCH_PATH}, words)
            if not arguments.asks:
                check_inputs(config, arguments.job)
            configs.append(config)
    if arguments.searches and configs[0].objective is None:
        raise Refusal("a search wants a number of each job: objective=NAME of a metric, or of a cost")
    return configs


def _check_override(override: Override, arguments: Arguments, known: Sequence[str]) -> None:
    key, written = override.key_or_group, override.input_line
    if key == "job":
        raise Refusal("unknown key 'job': a job is a word of its own, as in prunelab plan sparsity=0.5")
    if override.value_type == ValueType.INTERVAL_SWEEP and not arguments.searches:
        raise Refusal(
            f"{written} lists no values: prunelab -m {key}=one,two or {key}=range(1,5); "
            "hydra/sweeper=optuna searches an interval"
        )
    if override.is_sweep_override() and not arguments.many:
        values_of(override)
        raise Refusal(f"{written} is a sweep: prunelab -m {written}, or {key}=[...] for a list")
    if not override.is_delete():
        _check_choice(key, values_of(override), known)
        if key == "sweep" and not arguments.many:
            raise Refusal(f"{written} stands for many jobs: prunelab -m {written}")


def _check_choice(group: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values if known else ():
        listed = value[1:-1].split(",") if value.startswith("[") else [value]
        if not all(listed) or len({*listed}) < len(listed):
            raise Refusal(f"{group}={value} names nothing, or something twice: as in {group}=[one,two]")
        for name in listed:
            if name not in known:
                remedy = installation(group, name)
                raise Refusal(f"unknown {group} {name!r}: {remedy or nearest(name, known)}")


def choices(group: str, search: Sequence[str], primary: str) -> list[str]:
    """The names a configuration group offers; none where ``group`` is a plain key."""
    if "." in group:  # of a key inside a group
        return []
    loader = GlobalHydra.instance().config_loader()
    return list(loader.get_group_options(group, config_name=primary, overrides=list(search)))


def values_of(override: Override) -> list[str]:
    """Every value the override takes in a sweep, as the command line would say it."""
    if not override.is_sweep_override():
        return [override.get_value_string()]
    written, key = override.input_line, override.key_or_group
    if override.value_type == ValueType.INTERVAL_SWEEP:  # its ends stand for what lies between them
        interval = cast(IntervalSweep, override.value())
        return [str(interval.start), str(interval.end)]
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        raise Refusal(f"{written} lists no values: prunelab -m {key}=one,two or {key}=range(1,5)")
    try:
        values = [str(value) for value in islice(override.sweep_string_iterator(), MOST_JOBS + 1)]
    except (HydraException, ValueError) as error:
        raise Refusal(f"{written} is no sweep: {one_line(error)}") from error
    if not 0 < len(values) <= MOST_JOBS:
        raise Refusal(f"{written} is no sweep of 1 to {MOST_JOBS} values: prunelab -m {key}=one,two")
    return values


def _lines(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Command lines that between them hold every value of a sweep: all its jobs would take too long."""
    columns = [swept(override) for override in overrides]
    first = [words[0] for words in columns]
    yield first
    for place, words in enumerate(columns):
        yield from ([*first[:place], word, *first[place + 1 :]] for word in words[1:])


def swept(override: Override) -> list[str]:
    """An override as written, or once per value where it is a sweep's."""
    written = override.input_line or ""
    if not override.is_sweep_override():
        return [written]
    key = written.partition("=")[0]
    return [f"{key}={value}" for value in values_of(override)]


def _check_composed(
    primary: str, words: Sequence[str], groups: Container[str], given: Sequence[str]
) -> DictConfig:
    """The configuration of a job; refuses one that does not compose or holds impossible values.

    Files are chosen by overrides of ``groups``; the others that were ``given`` set keys of what was chosen.
    Where there are none the two compositions are one.
    """
    overrides = parse_overrides(words)
    plain = [each for each in overrides if each.key_or_group not in groups and each.input_line in given]
    chosen = [str(each.input_line) for each in overrides if each not in plain]
    before = _as_written(_composed(primary, tuple(chosen)))
    for override in plain:
        _check_key(before, override)
    config = _composed(primary, tuple(words))
    after = _as_written(config)
    keys = {each.key_or_group for each in plain}
    changed = {key: (_under(before, key), _under(after, key)) for key in keys}
    for key, (default, value) in changed.items():
        _check_kept(key, default, value)
    check_outputs(config)
    check_parts(config, folders(after["hydra"]["searchpath"]))
    for key, (default, value) in changed.items():
        _check_kind(key, default, value)
    return config


@lru_cache
def _composed(primary: str, words: tuple[str, ...]) -> DictConfig:
    try:
        return compose(primary, overrides=list(words), return_hydra_config=True)
    except Refusal:
        raise
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise Refusal(f"the configuration does not compose: {one_line(error)}") from error


def _as_written(config: DictConfig) -> Mapping[str, Any]:
    """A configuration as plain mappings, interpolations and all."""
    return cast(Mapping[str, Any], OmegaConf.to_container(config, resolve=False))


def _check_key(config: Mapping[str, Any], override: Override) -> None:
    """Refuse a key that does not exist, with the one that was probably meant; ``+key`` adds one."""
    if override.is_add() or override.is_force_add():
        return
    node: Any = config
    parts = override.key_or_group.split(".")
    for depth, name in enumerate(parts, start=1):
        known = [str(key) for key in node] if isinstance(node, Mapping) else []
        if depth == 1:
            known += [group for group in config["hydra"]["runtime"]["choices"] if group.isidentifier()]
        if name not in known:
            where = f"{'.'.join(parts[: depth - 1])} holds no keys" if not known else ""
            near = nearest(name, sorted(key for key in {*known} - {"job", "hydra"} if key[0] != "_"))
            raise Refusal(f"unknown key {'.'.join(parts[:depth])!r}: {where or near}")
        node = node.get(name)


def _under(config: Mapping[str, Any], key: str) -> Any:
    """The value under ``key``, or None where there is none."""
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _check_kept(key: str, default: Any, value: Any) -> None:
    """Refuse a value in the place of many keys."""
    if key == "sparsity" or not isinstance(default, Mapping):  # a share for every component, or one for all
        return
    if value is not None and not isinstance(value, Mapping) and "${" not in str(value):
        keys = len(default)
        raise Refusal(f"{key}={shown(value)} would replace {keys} keys: set {key}.KEY=VALUE instead")


def _check_kind(key: str, default: Any, value: Any) -> None:
    """Refuse a text where the default is a number and the like, for keys that no class declares."""
    if value is None or isinstance(value, Mapping) or "${" in str(value):
        return
    kind = next((name for name, fits in KINDS.items() if fits(default)), None)
    if kind is not None and not KINDS[kind](value) and not (kind == "a number" and _whole(value)):
        raise Refusal(f"{key}={shown(value)} is not {kind}: it is {default} unless you say otherwise")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


KINDS: dict[str, Callable[[object], bool]] = {
    "true or false": lambda value: isinstance(value, bool),
    "a whole number": _whole,
    "a number": lambda value: isinstance(value, float) and math.isfinite(value),
}
