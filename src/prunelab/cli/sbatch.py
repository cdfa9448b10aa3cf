"""The text that is handed to sbatch: printed, so that it can be read before anything is submitted."""

import itertools
import shlex
from collections.abc import Iterable, Sequence
from typing import get_args

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from prunelab.cli.arguments import Arguments, parse_overrides
from prunelab.cli.checking import swept
from prunelab.cli.cluster import Cluster, Stage, profile
from prunelab.core.errors import Refusal
from prunelab.core.own_folders import conf_folder

SCRIPTS = ("sbatch", "chain")  # the jobs that print a script
CHAIN = get_args(Stage)
# 128 and the number of a signal: USR1 or USR2 (the time runs out), TERM (another job needs the place).
AGAIN = """\
# Told by SLURM to end: what was done is in the store, and the same job goes on from there.
case $code in
138 | 140 | 143)
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then scontrol requeue "$SLURM_JOB_ID"; fi
    ;;
esac
exit "$code"
"""


def script(arguments: Arguments) -> str:
    """One job, with ``-m`` an array of jobs, or a chain of one job's stages; their command lines as given."""
    with initialize_config_dir(str(conf_folder()), job_name="prunelab", version_base=None):
        config = compose("config", overrides=_first(arguments), return_hydra_config=True)
    cluster = profile(config.cluster)
    if arguments.job == "chain":
        return chain(cluster, config, arguments)
    if arguments.many:
        lines = [merged(cluster.words, words) for words in itertools.product(*_columns(arguments, config))]
        return array(cluster, lines)
    return single(cluster, merged(cluster.words, arguments.words))


def single(cluster: Cluster, words: Sequence[str], name: str = "prunelab") -> str:
    """A job of its own."""
    told = (f"#SBATCH --job-name={name}", *cluster.directives(), f"#SBATCH --output={name}-%j.out")
    return _text(["#!/bin/bash", *told], cluster, _command(cluster, "outputs/slurm-$SLURM_JOB_ID", words))


def array(cluster: Cluster, lines: Sequence[Sequence[str]]) -> str:
    """An array with a job for each command line, of which ``at_once`` run at a time."""
    head = ["#!/bin/bash", "#SBATCH --job-name=prunelab", *cluster.directives()]
    head += [f"#SBATCH --array=0-{len(lines) - 1}%{cluster.at_once}", "#SBATCH --output=prunelab-%A_%a.out"]
    cases = [f'{number}) set -- {shlex.join(words)} "$@" ;;' for number, words in enumerate(lines)]
    chosen = ["case $SLURM_ARRAY_TASK_ID in", *cases, "esac"]
    folder = "multirun/slurm-$SLURM_ARRAY_JOB_ID/$SLURM_ARRAY_TASK_ID"
    return _text(head, cluster, [*chosen, *_command(cluster, folder, [])])


def chain(cluster: Cluster, config: DictConfig, arguments: Arguments) -> str:
    """Score, prune, recover and evaluate, each a job that starts when the one before has ended well."""
    if arguments.many:
        raise Refusal("a chain is of one job: prunelab -m sbatch ... makes an array of many")
    stages = [stage for stage in CHAIN if stage != "recover" or config.recovery.get("method") is not None]
    lines = ["#!/bin/bash", "# Submits one job after another: run it where sbatch is.", "set -euo pipefail"]
    before = ""
    for stage in stages:
        after = f' --dependency="afterok:${before}" --kill-on-invalid-dep=yes' if before else ""
        end = [f"until={stage}"] if stage != stages[-1] else []
        own = cluster.stages.get(stage, {}).get("words", ())
        words = merged(cluster.words, arguments.words, own, end)
        text = single(cluster.of(stage), words, f"prunelab-{stage}")
        lines += [f"{stage}=$(sbatch --parsable{after} <<'END'", text + "END", ")"]
        before = stage
    said = " ".join(f"${stage}" for stage in stages)
    return "\n".join([*lines, f'echo "{said}"', ""])


def merged(*lines: Sequence[str]) -> list[str]:
    """The words of several command lines in one: of those for the same key, the last."""
    return list({word.partition("=")[0].lstrip("+~"): word for words in lines for word in words}.values())


def _text(head: Sequence[str], cluster: Cluster, body: Sequence[str]) -> str:
    again = AGAIN.format(requeues=cluster.requeues)
    return "\n".join([*head, "", *cluster.setup(), "", "code=0", *body, "", again])


def _command(cluster: Cluster, folder: str, words: Sequence[str]) -> list[str]:
    """The command line; a requeued job writes into the folder that it had before."""
    given = [shlex.quote(word) for word in words]
    called = f'{cluster.step()}prunelab run "hydra.run.dir={folder}"'
    return [f"{called} \\", " ".join(["   ", *given, '"$@" || code=$?'])]


def _first(arguments: Arguments) -> list[str]:
    """The first job that a command line stands for."""
    return arguments.as_run([next(iter(swept(each))) for each in arguments.overrides])


def _columns(arguments: Arguments, config: DictConfig) -> Iterable[list[str]]:
    """For each key of a sweep, those of ``sweep=NAME`` first, the words that its jobs have."""
    own = {each.key_or_group for each in arguments.overrides}
    named = OmegaConf.select(config, "hydra.sweeper.params") or {}
    others = [f"{key}={value}" for key, value in named.items() if key not in own]
    return [swept(each) for each in (*parse_overrides(others), *arguments.overrides)]
