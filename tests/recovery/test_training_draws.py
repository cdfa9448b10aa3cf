"""What recovery trains on depends on the seed and the draw's number alone."""

import pytest
import torch

from prunelab.recovery.training_draws import Draws

LATENTS = torch.arange(5 * 2 * 3, dtype=torch.float32).reshape(5, 2, 3)
PROMPTS = [f"number {i}" for i in range(5)]


def draws(seed: int = 0, drop: float = 0.3) -> Draws:
    return Draws(LATENTS, PROMPTS, timesteps=100, drop=drop, seed=seed)


def test_a_batch_is_its_draws_one_by_one() -> None:
    together = draws().batch(range(3, 12))
    alone = [draws().batch(range(i, i + 1)) for i in range(3, 12)]
    assert torch.equal(together.latents, torch.cat([each.latents for each in alone]))
    assert torch.equal(together.timesteps, torch.cat([each.timesteps for each in alone]))
    assert torch.equal(together.noise, torch.cat([each.noise for each in alone]))
    assert together.prompts == [prompt for each in alone for prompt in each.prompts or ()]
    assert together.noise.shape == together.latents.shape


def test_another_seed_draws_otherwise() -> None:
    one, other = draws(0).batch(range(20)), draws(1).batch(range(20))
    assert not torch.equal(one.noise, other.noise)
    assert not torch.equal(one.timesteps, other.timesteps)
    assert not torch.equal(one.latents, other.latents)


def test_the_global_generator_has_no_say() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = draws().batch(range(4)).noise
        torch.manual_seed(2)
        assert torch.equal(before, draws().batch(range(4)).noise)


def test_every_pass_visits_every_example_once_in_a_new_order() -> None:
    visited = draws(drop=0).batch(range(10))
    passes = [visited.latents[:5, 0, 0].tolist(), visited.latents[5:, 0, 0].tolist()]
    assert [sorted(each) for each in passes] == [LATENTS[:, 0, 0].tolist()] * 2
    assert passes[0] != passes[1]
    assert visited.prompts == [f"number {int(latent[0, 0]) // 6}" for latent in visited.latents]


def test_a_share_of_the_prompts_is_left_empty() -> None:
    prompts = draws(drop=0.25).batch(range(400)).prompts
    assert prompts is not None
    assert prompts.count("") / 400 == pytest.approx(0.25, abs=0.07)
    assert "" not in (draws(drop=0).batch(range(400)).prompts or [""])


def test_timesteps_cover_the_whole_range() -> None:
    timesteps = draws().batch(range(2000)).timesteps
    assert (int(timesteps.min()), int(timesteps.max())) == (0, 99)


def test_antithetic_timesteps_come_in_pairs() -> None:
    plain = Draws(LATENTS, PROMPTS, timesteps=100, drop=0.3, seed=0)
    paired = Draws(LATENTS, PROMPTS, timesteps=100, drop=0.3, seed=0, antithetic=True)
    together, drawn = paired.batch(range(3, 11)).timesteps.tolist(), plain.batch(range(12)).timesteps.tolist()
    expected = [99 - drawn[i - 1] if i % 2 else drawn[i] for i in range(3, 11)]
    assert together == expected
    alone = [paired.batch(range(i, i + 1)).timesteps.item() for i in range(3, 11)]
    assert together == alone  # whatever the batches and ranks
    assert torch.equal(paired.batch(range(8)).noise, plain.batch(range(8)).noise)


def test_without_prompts_there_are_none() -> None:
    assert Draws(LATENTS, None, 100, 0.5, 0).batch(range(3)).prompts is None
