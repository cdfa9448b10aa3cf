"""MACs against formulas written out by hand and against figures known from elsewhere."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from prunelab.core.protocols import Model
from prunelab.costs.macs import macs
from prunelab.models.mdct import Mdct
from prunelab.models.pipeline import PipelineModel


class Layers(nn.Module):
    """One layer of each kind, used in the ways that counters get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.called = nn.Linear(6, 5)
        self.by_name = nn.Linear(5, 7)
        self.as_function = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.called(self.called(x)[..., :1].expand_as(x))
        x = self.by_name.forward(x)
        return F.linear(x, self.as_function.weight, self.as_function.bias)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # out_height * out_width * out_channels * (in_channels / groups) * kernel
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, 9, 7), 2 * 5 * 4 * 8 * 3 * 9),
        (nn.Conv2d(4, 8, (1, 3), groups=2), (1, 4, 5, 5), 5 * 3 * 8 * 2 * 3),
        (nn.Conv1d(4, 6, 5, padding=2), (1, 4, 10), 10 * 6 * 4 * 5),
        # every input element meets every (out_channels * kernel)
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 3), 5 * 3 * 4 * 6 * 4),
        (nn.Linear(6, 10), (2, 7, 6), 2 * 7 * 6 * 10),
    ],
)
def test_single_layers(layer: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    counted = macs(layer, {"input": torch.zeros(shape)})
    assert counted.total == expected
    assert counted.without_attention == expected
    assert counted.by_module == {"": expected}


def test_a_linear_layer_on_a_strided_input_is_no_attention() -> None:
    channels_last = torch.zeros(2, 6, 7).transpose(1, 2)
    counted = macs(nn.Linear(6, 10), {"input": channels_last})
    assert counted.without_attention == counted.total == 2 * 7 * 6 * 10


def test_layers_used_twice_by_name_and_as_functions() -> None:
    counted = macs(Layers(), {"x": torch.zeros(2, 6)})
    twice, by_name, as_function = 2 * (2 * 6 * 5), 2 * 5 * 7, 2 * 7 * 3
    assert counted.total == counted.without_attention == twice + by_name + as_function
    assert counted.by_module == {
        "": twice + by_name + as_function,
        "called": twice,
        "by_name": by_name,
        "as_function": 0,
    }


def test_torch_multihead_attention() -> None:
    tokens, width = 5, 8
    attention = nn.MultiheadAttention(width, num_heads=2, batch_first=True)
    x = torch.zeros(1, tokens, width)
    counted = macs(attention, {"query": x, "key": x, "value": x, "need_weights": False})
    assert counted.without_attention == 4 * tokens * width * width
    assert counted.total - counted.without_attention == 2 * tokens * tokens * width


@pytest.mark.parametrize(("context_tokens", "context_width"), [(16, 24), (77, 40)])
def test_attention(context_tokens: int, context_width: int) -> None:
    batch, tokens, width, heads, head_width = 3, 16, 24, 4, 8
    inner = heads * head_width
    crossed = (context_tokens, context_width) != (tokens, width)
    attention = Attention(
        query_dim=width,
        cross_attention_dim=context_width if crossed else None,
        heads=heads,
        dim_head=head_width,
    )
    inputs = {"hidden_states": torch.zeros(batch, tokens, width)}
    if crossed:
        inputs["encoder_hidden_states"] = torch.zeros(batch, context_tokens, context_width)

    counted = macs(attention, inputs)

    queries_and_out = 2 * batch * tokens * width * inner
    keys_and_values = 2 * batch * context_tokens * context_width * inner
    products = 2 * batch * heads * tokens * context_tokens * head_width
    assert counted.without_attention == queries_and_out + keys_and_values
    assert counted.total == queries_and_out + keys_and_values + products
    assert counted.by_module["to_k"] == keys_and_values // 2
    assert counted.by_module["to_out.0"] == queries_and_out // 2


def test_transformer_block() -> None:
    tokens, context, width, context_width = 10, 7, 16, 12
    block = BasicTransformerBlock(
        dim=width, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=context_width
    )
    counted = macs(
        block,
        {
            "hidden_states": torch.zeros(1, tokens, width),
            "encoder_hidden_states": torch.zeros(1, context, context_width),
        },
    )
    self_attention = 4 * tokens * width * width + 2 * tokens * tokens * width
    cross_attention = (
        2 * tokens * width * width + 2 * context * context_width * width + 2 * tokens * context * width
    )
    feed_forward = tokens * width * (8 * width) + tokens * (4 * width) * width  # GEGLU, factor 4
    assert counted.by_module["attn1"] == self_attention
    assert counted.by_module["attn2"] == cross_attention
    assert counted.by_module["ff"] == feed_forward
    assert counted.total == self_attention + cross_attention + feed_forward


def small_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=8,
    )


def walked(model: nn.Module, inputs: dict[str, Any]) -> tuple[int, int]:
    """(layers, attention products) of a forward on real tensors, from the shapes that hooks see."""
    layers, products = 0, 0

    def conv(module: nn.Conv2d, _args: tuple[Any, ...], output: Tensor) -> None:
        nonlocal layers
        layers += output.numel() * module.weight[0].numel()

    def linear(module: nn.Linear, _args: tuple[Any, ...], output: Tensor) -> None:
        nonlocal layers
        layers += output.numel() * module.in_features

    def attention(module: Attention, args: tuple[Tensor], kwargs: dict[str, Any], _output: Tensor) -> None:
        nonlocal products
        batch, *places, _ = args[0].shape
        context = kwargs.get("encoder_hidden_states")
        if args[0].dim() == 4:  # an image (batch, channels, height, width) instead of tokens
            batch, _, *places = args[0].shape
        tokens = math.prod(places)
        keys = tokens if context is None else context.shape[1]
        products += 2 * batch * tokens * keys * module.to_q.out_features

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(conv)
        elif isinstance(module, nn.Linear):
            module.register_forward_hook(linear)
        elif isinstance(module, Attention):
            module.register_forward_hook(attention, with_kwargs=True)
    with torch.no_grad():
        model(**inputs)
    return layers, products


@pytest.mark.parametrize("batch", [1, 3])
def test_small_unet_against_a_walk_over_its_layers(batch: int) -> None:
    unet = small_unet()
    inputs = {
        "sample": torch.randn(batch, 4, 8, 8),
        "timestep": torch.tensor([7]),
        "encoder_hidden_states": torch.randn(batch, 5, 24),
    }
    counted = macs(unet, inputs)
    layers, products = walked(unet, inputs)

    assert products > 0
    assert counted.without_attention == layers
    assert counted.total == layers + products
    assert set(counted.by_module) == {path for path, _ in unet.named_modules()}
    assert counted.by_module[""] == counted.total
    children = [path for path, _ in unet.named_children()]
    assert sum(counted.by_module[path] for path in children) == counted.total


def test_ddpm_cifar10_as_published() -> None:
    """google/ddpm-cifar10-32: 35.7M parameters and 6.06G MACs in Diff-Pruning (arXiv:2305.10924)."""
    with torch.device("meta"):
        unet = UNet2DModel(
            sample_size=32,
            in_channels=3,
            out_channels=3,
            block_out_channels=(128, 256, 256, 256),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            act_fn="silu",
            norm_num_groups=32,
            norm_eps=1e-6,
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
        )
    counted = macs(unet, {"sample": torch.zeros(1, 3, 32, 32), "timestep": torch.zeros(1)})
    assert sum(parameter.numel() for parameter in unet.parameters()) == 35_746_307
    assert counted.without_attention == pytest.approx(6.06e9, rel=0.005)
    assert counted.total == pytest.approx(6.22e9, rel=0.005)


def test_stable_diffusion_1_5() -> None:
    """The U-Net of Stable Diffusion 1.5 at 512 x 512, which has 859.5M parameters."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    counted = macs(
        unet,
        {
            "sample": torch.zeros(1, 4, 64, 64),
            "timestep": 1,
            "encoder_hidden_states": torch.zeros(1, 77, 768),
        },
    )
    # (transformer blocks, tokens, channels) of the three outer levels and the middle: each block
    # attends once to its own tokens and once to the 77 of the prompt
    blocks = [(5, 64 * 64, 320), (5, 32 * 32, 640), (5, 16 * 16, 1280), (1, 8 * 8, 1280)]
    products = sum(n * 2 * tokens * (tokens + 77) * channels for n, tokens, channels in blocks)

    assert sum(parameter.numel() for parameter in unet.parameters()) == 859_520_964
    assert counted.total == pytest.approx(401.64e9, rel=1e-4)
    assert counted.total - counted.without_attention == products


def torchs_count(model: nn.Module, inputs: dict[str, Any]) -> dict[str, int]:
    """MACs by module, of those that are called, by torch's counter of FLOPs on real tensors."""
    flops = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), flops:
        model(**inputs)
    root = type(model).__name__
    counts = {name: sum(spent.values()) // 2 for name, spent in flops.get_flop_counts().items()}
    return {name.removeprefix(root).lstrip("."): spent for name, spent in counts.items() if name != "Global"}


def check_against_torch(model: Model) -> None:
    for name, component in model.components.items():
        inputs = model.example_inputs(name, 1)
        counted, expected = macs(component, inputs), torchs_count(component, inputs)
        assert counted.total == expected[""]
        assert {path: spent for path, spent in counted.by_module.items() if path in expected} == expected


@pytest.mark.parametrize("fixture", ["model", "pixels", "latents", "flux"])
def test_models_against_torchs_counter(fixture: str, request: pytest.FixtureRequest) -> None:
    check_against_torch(request.getfixturevalue(fixture))


def test_audio_against_torchs_counter() -> None:
    check_against_torch(PipelineModel.open("tiny_uag", embedded="tiny_uag", media=Mdct(8000)))


def layout(made: Tensor) -> tuple[Any, ...]:
    return made.shape, made.dtype, made.stride()


class Calls(nn.Module):
    """A function of the tensors below as a module; keeps what it returned."""

    def __init__(self, function: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.returned = torch.empty(0)

    def __deepcopy__(self, memo: object) -> "Calls":
        return self  # it has no weights, and what it returned is looked at

    def forward(self, **tensors: Tensor) -> None:
        self.returned = self.function(SimpleNamespace(**tensors))


TENSORS = {
    "q": torch.ones(2, 4, 5, 8),
    "k": torch.ones(2, 4, 7, 8),
    "v": torch.ones(2, 4, 7, 6),
    "x": torch.ones(2, 6, 4, 4),
    "s": torch.ones(4, 4),
    "whole": torch.ones(3, 4, dtype=torch.long),
}


def by_mask(t: Any) -> Tensor:
    """What a mask selects, before what it leaves out."""
    mask = t.s[0] > 0
    return torch.cat([t.s[mask], t.s[~mask], t.s[: t.whole.sum(dim=1).tolist()[0]]]) @ t.s


def by_size(t: Any) -> Tensor:
    """A height and a width that were put into a tensor, for each of a batch."""
    sizes = torch.tensor([2, 3], device=t.x.device).reshape(-1).unsqueeze(0).repeat(2, 1)
    rows = [each[:, : height * width] for each, (height, width) in zip(t.x.flatten(2), sizes, strict=True)]
    return torch.stack(rows) @ t.x.flatten(2)[:, :, :6].mT


def by_expert(t: Any) -> Tensor:
    """Each of eight experts is given the tokens that chose it, or all equally many."""
    chosen = t.q[0, 0].topk(2).indices.flatten()
    given = torch.full((8,), 2, device=t.s.device).tolist()
    counts = [*chosen.bincount().cpu().numpy().tolist(), *given]
    return torch.cat([t.s[:1].expand(count, 4) @ t.s for count in counts])


def cast(t: Any) -> Tensor:
    """Nothing is cast, in the words that models have for it."""
    device = t.s.device.type
    with torch.autocast(device, enabled=False), torch.autocast(device, torch.bfloat16, enabled=False):
        return t.s @ t.s


@pytest.mark.parametrize(
    "function",
    [
        by_mask,
        by_size,
        by_expert,
        cast,
        lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v),
        lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, attn_mask=t.v[0, 0, :1].new_zeros(5, 7)),
        lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, is_causal=True, scale=2.0),
        lambda t: F.scaled_dot_product_attention(t.q, t.k[:, :2], t.v[:, :2], enable_gqa=True),
        lambda t: F.scaled_dot_product_attention(t.q, t.k[:1], t.v[:1]),
        lambda t: torch.einsum("bhqc,bhkc->bhqk", t.q, t.k),
        lambda t: torch.baddbmm(t.s, t.s.expand(2, 4, 4), t.s.expand(2, 4, 4)),
        lambda t: F.linear(t.s[0], t.s, t.s[0]),
        lambda t: F.linear(t.s, t.s[0]),
        lambda t: F.bilinear(t.s, t.s, t.x[0]),
        lambda t: F.conv2d(t.x, t.x[:, :, :2, :2]).transpose(1, 2),
        lambda t: F.group_norm(t.x.transpose(2, 3), 3),
        lambda t: F.layer_norm(t.x.transpose(2, 3), (4,)),
        lambda t: t.x.transpose(1, 3).softmax(dim=-1),
        lambda t: t.s.softmax(dim=-1, dtype=torch.float64),
        lambda t: t.s.half().softmax(dim=-1, dtype=torch.float32),
        lambda t: F.silu(t.x.transpose(1, 3)),
        lambda t: F.dropout(t.s, training=False),
        lambda t: t.x + t.s,
        lambda t: t.x * t.x[:, :1],
        lambda t: t.s * t.s.double(),
        lambda t: t.s.half() * t.s[0, 0],
        lambda t: t.whole / 2,
        lambda t: t.whole * 2.5,
        lambda t: torch.sigmoid(t.whole),
        lambda t: torch.div(t.s, t.s, rounding_mode="floor"),
    ],
)
def test_functions_against_torchs_counter(function: Callable[[Any], Tensor]) -> None:
    """Counts, and what the next function gets to see: shapes, precision and layout."""
    counted, real = Calls(function), Calls(function)
    expected = torchs_count(real, TENSORS).get("", 0)
    assert macs(counted, TENSORS).total == expected
    assert counted.returned.is_meta
    assert layout(counted.returned) == layout(real.returned)
