"""What a model produced for evaluation, and what it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Generated media of one model, ``S`` sampling seeds times ``n`` draws each.

    media: shape (S, n, ...): images uint8 (channels, height, width), sounds int16 (1, samples).
    features: float32, shape (S, n, d): the feature network's embedding of each sample.
    predictions: name -> int64 of shape (S, n): what the feature network says each sample shows.
    confidences: name -> float32 of shape (S, n): the softmax probability of that prediction.
    outputs: float32, shape (m, ...): the denoiser's output on m held-out noisy inputs, the same
        inputs for every model.
    """

    media: Tensor
    features: Tensor
    predictions: Mapping[str, Tensor]
    confidences: Mapping[str, Tensor]
    outputs: Tensor


@dataclass(frozen=True)
class Reference:
    """What samples are held against.

    real: float32, shape (r, d): features of real held-out data; r may be 0.
    classes: name -> int64 of shape (r,): what the feature network says the real data show.
    labels: name -> int64 of shape (n,): what the prompt of draw i asked for; empty when unconditional.
    dense: the dense model's samples from the same seeds.
    prompts: what draw i was asked to show, n of them; empty texts, or none, where nothing was.
    held_out: likewise of the m held-out inputs.
    """

    real: Tensor
    classes: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    dense: Samples
    prompts: Sequence[str] = ()
    held_out: Sequence[str] = ()
