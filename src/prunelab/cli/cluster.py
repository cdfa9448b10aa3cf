"""What a cluster's profile says of a job: its resources, and what surrounds the command."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Literal, get_args

from omegaconf import OmegaConf

from prunelab.core.errors import Refusal
from prunelab.core.presets import embedded
from prunelab.core.processes import SRUN
from prunelab.core.settings import Count, NonNegativeCount, Text, Variable, Word, settings

# Threads that spin are many times slower on shared cores; the tasks of a step are the ranks of one job.
ALWAYS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", SRUN: "ranks"}
Stage = Literal["score", "prune", "recover", "evaluate"]
Resource = Literal[
    "partition",
    "account",
    "qos",
    "constraint",
    "nodes",
    "ntasks_per_node",
    "cpus_per_task",
    "gres",
    "mem",
    "time",
    "words",
]
RESOURCES = tuple(name for name in get_args(Resource) if name != "words")


@settings(kw_only=True)
class Cluster:
    """Names are SLURM's own where it has them; ``None`` leaves a choice to the cluster.

    ntasks_per_node: ranks. time: minutes. notice: seconds before the end at which a job is told. requeues:
    how often a job that was told starts again. at_once: jobs of an array that run at a time. before: lines
    of shell. container: an Apptainer image. words: of the command line, unless it has such words itself.
    stages: of a chain, what a stage has for itself; its words take the place of the command line's.
    """

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Text | None = None
    nodes: Count = 1
    ntasks_per_node: Count = 1
    cpus_per_task: Count = 1
    gres: Word | None = None
    mem: Word | None = None
    time: Count = 240
    notice: Count = 120
    requeues: NonNegativeCount = 3
    at_once: Count = 4
    modules: Sequence[Text] = ()
    before: Sequence[Text] = ()
    container: Text | None = None
    words: Sequence[Text] = ()
    environment: Mapping[Variable, str] = field(default_factory=dict)
    stages: Mapping[Stage, Mapping[Resource, Any]] = field(default_factory=dict)

    def of(self, stage: str) -> "Cluster":
        """The profile with what a stage of a chain has for itself."""
        return replace(self, **self.stages.get(stage, {}))  # type: ignore[call-overload]

    def directives(self) -> list[str]:
        """The lines by which sbatch is told of resources and signals."""
        named = {name.replace("_", "-"): getattr(self, name) for name in RESOURCES}
        given = [f"--{name}={value}" for name, value in named.items() if value is not None]
        given += [f"--signal=USR2@{self.notice}", "--requeue", "--open-mode=append"]
        return [f"#SBATCH {each}" for each in given]

    def setup(self) -> list[str]:
        """What the shell does before the command."""
        loads = [f"module load {shlex.quote(module)}" for module in self.modules]
        variables = {**ALWAYS, **self.environment}
        exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        return [*loads, *self.before, *exports]

    def step(self) -> str:
        """What starts the command as the tasks of a step, up to the name of the program."""
        inside = f"apptainer exec --nv {shlex.quote(self.container)} " if self.container else ""
        return f"srun --kill-on-bad-exit=1 --cpus-per-task={self.cpus_per_task} {inside}"

    def launcher(self) -> dict[str, Any]:
        """What submitit has no names of its own for, as sbatch has it."""
        if self.container:
            raise Refusal(
                "hydra/launcher=slurm starts no containers: prunelab sbatch -m prints an array that does"
            )
        return {"requeue": True, **({"mem": self.mem} if self.mem else {})}


def profile(node: Any) -> Cluster:
    """The profile that a configuration describes."""
    given: Any = OmegaConf.to_container(node, resolve=True)
    return Cluster(**{key: value for key, value in given.items() if key != "_target_"})


def register() -> None:
    """Let configurations name files of the package, and ask a profile what a launcher wants to know."""
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    OmegaConf.register_new_resolver("cluster_setup", lambda node: profile(node).setup(), replace=True)
    OmegaConf.register_new_resolver("cluster_parameters", lambda node: profile(node).launcher(), replace=True)
