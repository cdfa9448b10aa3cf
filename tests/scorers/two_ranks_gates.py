"""What every process of ``test_learned_gates.py`` runs: a short training of gates."""

import sys
from pathlib import Path

from safetensors.torch import save_file

from prunelab.engine import ranks
from prunelab.engine.optimise import optimise
from prunelab.models.pipeline import PipelineModel
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.learned_gates import LearnedGates
from prunelab.trainers.hardware import Hardware

SCHEDULE = Schedule(steps=3, batch_size=2, learning_rate=0.5, decay="constant", clip=None, checkpoint_every=1)
COLOURS = ("red", "white", "pink", "blue")


class Prompts:
    """Captions by number."""

    def prompts(self, draws: range) -> list[str]:
        """One caption per draw."""
        return [f"a {COLOURS[i % 4]} seven on a black background" for i in draws]


def main(folder: Path) -> None:
    """Train, and let rank 0 write the scores down."""
    ranks.start()
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    units = model.units(["head"], ["denoiser"])
    scorer = LearnedGates(SCHEDULE, prompts=4, steps=2, initial=1.0, weight=0.1)
    objective = scorer.objective(model, units, Prompts())
    optimise(
        objective, SCHEDULE, Hardware(devices=ranks.world()), folder / "run", "gates", lambda v, step: None
    )
    if ranks.rank() == 0:
        save_file(dict(scorer.read(objective.trained, units)), folder / "scores.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
