"""Small made-up samples of a dense and of a pruned model."""

from dataclasses import replace

import pytest
import torch

from prunelab.core.samples import Reference, Samples

SEEDS, DRAWS, FEATURES = 2, 40, 5


def made_up(seed: int) -> Samples:
    random = torch.Generator().manual_seed(seed)
    return Samples(
        media=torch.randint(0, 256, (SEEDS, DRAWS, 3, 16, 16), generator=random, dtype=torch.uint8),
        features=torch.randn(SEEDS, DRAWS, FEATURES, generator=random) + 0.1 * seed,
        predictions={
            "digit": torch.randint(0, 3, (SEEDS, DRAWS), generator=random),
            "colour": torch.randint(0, 2, (SEEDS, DRAWS), generator=random),
        },
        confidences={
            "digit": torch.rand(SEEDS, DRAWS, generator=random) * 0.7 + 0.3,
            "colour": torch.rand(SEEDS, DRAWS, generator=random) * 0.5 + 0.5,
        },
        outputs=torch.randn(6, 4, 3, 3, generator=random),
    )


@pytest.fixture
def dense() -> Samples:
    return made_up(0)


@pytest.fixture
def pruned(dense: Samples) -> Samples:
    other = made_up(3)
    noisy = (dense.media.int() + other.media.int() % 40 - 20).clamp(0, 255)
    return replace(other, media=noisy.to(torch.uint8))


@pytest.fixture
def reference(dense: Samples) -> Reference:
    random = torch.Generator().manual_seed(9)
    return Reference(
        real=torch.randn(60, FEATURES, generator=random) @ torch.randn(FEATURES, FEATURES, generator=random),
        classes={
            "digit": torch.randint(0, 3, (60,), generator=random),
            "colour": torch.randint(0, 2, (60,), generator=random),
        },
        labels={
            "digit": torch.randint(0, 3, (DRAWS,), generator=random),
            "colour": torch.randint(0, 2, (DRAWS,), generator=random),
        },
        dense=dense,
        prompts=[f"prompt {i}" for i in range(DRAWS)],
        held_out=[f"prompt {i}" for i in range(6)],
    )
