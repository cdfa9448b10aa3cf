"""What every process of ``test_two_ranks_score_as_one_does`` runs: scores of a model with uneven examples."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from prunelab.core.halves import Averaged
from prunelab.core.units import Gate, Slice, Unit
from prunelab.engine import ranks
from prunelab.scorers.taylor import Taylor
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

ROWS = Unit("denoiser", "", "channel", 5, (Slice("weight", 0),), Gate("", "input"), "")
SIZES = torch.tensor([1.0, 7.0, 2.0, 5.0])  # of the four examples
PHASES = torch.tensor([0, 2, 1, 3])  # where along t each example's loss drops


class Uneven:
    """A linear model; each example's loss drops at another timestep."""

    timesteps = 6

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.components = {"denoiser": nn.Linear(8, 5, bias=False).requires_grad_(False)}

    def embed(self, prompts: list[str]) -> None:
        """No conditions."""

    def encode(self, media: Tensor) -> Tensor:
        return media

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        return latents

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: None) -> Tensor:
        late = (timesteps > noisy[:, 0]).float()[:, None]
        return (1 - 0.9 * late) * self.components["denoiser"](noisy)

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        return latents.new_zeros(len(latents), 5)


class Examples:
    """Four examples whose first entry is the timestep behind which their loss drops."""

    def prompts(self, draws: range) -> list[str]:
        return [""] * len(draws)

    def media(self, draws: range) -> Tensor:
        random = torch.randn(4, 8, generator=torch.Generator().manual_seed(1)) * SIZES[:, None]
        random[:, 0] = PHASES.float()
        return random[draws.start : draws.stop]


def main(folder: Path) -> None:
    """Score, and let rank 0 write the scores down."""
    ranks.start()
    scorer = Taylor(samples=4, threshold=0.3, batch_size=1)
    scores = follow(scorer.passes(Uneven(), [ROWS], Examples()), Hardware(devices=ranks.world()))
    assert isinstance(scores, Averaged)
    halves = dict(zip(("first half", "second half"), scores.of_halves(ROWS), strict=True))
    if ranks.rank() == 0:
        save_file({**scores, **halves}, folder / "result.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
