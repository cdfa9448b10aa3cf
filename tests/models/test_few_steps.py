"""The embedded model that was distilled to 4 steps, against its teacher."""

import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.data.digits import Digits
from prunelab.models.pipeline import PipelineModel


@torch.no_grad()
def test_4_steps_without_guidance_end_near_16_guided_ones(model: PipelineModel) -> None:
    student = PipelineModel.open("tiny_t2i_4step", embedded="tiny_t2i_4step")
    prompts = list(Digits(train_size=8, test_size=40).test()["caption"])
    noise = normal(model.latent_shape, 5, range(len(prompts)), "test")

    def ends(of: PipelineModel, steps: int, guidance: float) -> Tensor:
        return of.sample(of.embed(prompts), noise, steps, guidance, last=True)

    guided = ends(model, 16, 2.0)
    before, after = ((ends(each, 4, 1.0) - guided).pow(2).mean() for each in (model, student))
    assert after < before / 3
