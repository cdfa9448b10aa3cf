"""The first line of a job: what it does, on which model, in how many stages, and where results are kept."""

import math
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from prunelab.artifacts import default_root
from prunelab.cli.arguments import Arguments, parse_overrides
from prunelab.cli.checking import values_of

SINGLE = {"weight", "conv_weight"}  # granularities whose models are also compressed
OF_A_STATE = 3  # stages: sample, evaluate, cost


def announcement(arguments: Arguments, configs: Sequence[DictConfig]) -> str:
    """``prunelab run: ...``; of a sweep, ``configs`` hold every value between them."""
    first, name = configs[0], f"prunelab {arguments.job}"
    if arguments.job == "report":
        return f"{name}: one of all reports below {first.path}"
    parts = [f"{jobs(arguments, first)} jobs"] if arguments.many else []
    parts.append(f"{_chosen(configs, 'model')}{f' from {first.path}' if first.path else ''}")
    if arguments.job != "pretrain":
        parts += [
            f"{_chosen(configs, 'scorer')} scores of {_units(configs)}",
            f"sparsity {_set(configs, 'sparsity')} of {_set(configs, 'budget.of')}",
        ]
    if arguments.job == "run":
        parts += [f"recovery {_chosen(configs, 'recovery')}", _counted(configs, arguments.many)]
    return f"{name}: {', '.join(parts)}; store {first.store or default_root()}"


def jobs(arguments: Arguments, config: DictConfig) -> int:
    """How many jobs a sweep has: one for each combination of its values, or as many as a search may try."""
    if arguments.searches:
        return int(OmegaConf.select(config, "hydra.sweeper.n_trials") or 1)
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    named = {key: f"{key}={value}" for key, value in params.items()}
    given = {override.key_or_group: str(override.input_line) for override in arguments.overrides}
    overrides = parse_overrides([*{**named, **given}.values()])
    return math.prod(len(values_of(each)) for each in overrides if each.is_sweep_override())


def stages(config: DictConfig) -> int:
    """How many artifacts a run makes, or finds in the store."""
    recovers = config.recovery.get("method") is not None
    states = 2 + recovers + config.scratch
    allocates = config.budget.get("allocation") not in (None, config.scorer)
    once = [
        True,  # the dense model, saved
        True,  # times, of all states in turns
        config.bypass.get("method") == "least_squares",
        config.budget.get("of") == "latency",
        recovers,  # its examples, encoded
        bool(config.evaluation.get("held_out")),  # also encoded
        bool(config.evaluation.get("real")),  # judged
    ]
    made = sum(once) + config.rounds * (2 + allocates) + recovers + config.scratch
    return made + states * (OF_A_STATE + (set(config.granularity) <= SINGLE))


def _counted(configs: Sequence[DictConfig], many: bool) -> str:
    counts = {stages(config) for config in configs}
    return f"{'at most ' if len(counts) > 1 else ''}{max(counts)} stages{' each' if many else ''}"


def _chosen(configs: Sequence[DictConfig], group: str) -> str:
    """The names chosen for a group, each once."""
    return ",".join(dict.fromkeys(str(config.hydra.runtime.choices[group]) for config in configs))


def _units(configs: Sequence[DictConfig]) -> str:
    """The granularities, each choice once; of one choice joined as in a report."""
    return ",".join(dict.fromkeys("+".join(map(str, config.granularity)) for config in configs))


def _set(configs: Sequence[DictConfig], key: str) -> str:
    """The values of a key, each once."""
    found = (OmegaConf.select(config, key) for config in configs)
    plain = (OmegaConf.to_container(each) if OmegaConf.is_config(each) else each for each in found)
    return ",".join(dict.fromkeys(str(each).replace("'", "") for each in plain))
