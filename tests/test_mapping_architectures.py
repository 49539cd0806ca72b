"""Mapping whole architectures without help from the port file. Torch comes before paddle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
paddle = pytest.importorskip("paddle")

from portalign.ports.bert import paddle_side as paddle_bert  # noqa: E402  (torch first)
from portalign.ports.bert import torch_side as torch_bert  # noqa: E402
from structures import (  # noqa: E402
    CLOSE,
    difference,
    floats,
    line_up,
    pairs_of,
    randomise,
    tokens,
)

nn = torch.nn


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    paddle.seed(0)


def test_the_shipped_bert_port_maps_without_help_and_computes_the_same() -> None:
    reference = torch_bert.build({"size": "mini"})
    candidate = paddle_bert.build({"size": "mini"})
    randomise(reference)
    ids = tokens(1000, 2, 9)

    plan = line_up(reference, candidate)

    names = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    assert difference(reference, candidate, **names) < CLOSE
    squares = [line for line in plan.audit if "square" in str(line)]
    assert len(squares) == 4 * 3 + 2  # q, k, v, out of three layers; pooler; 64 x 64 positions


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        if stride != 1:
            shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class _ResNet18(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        for at, (n_in, n_out, stride) in enumerate(widths, 1):
            blocks = _Block(n_in, n_out, stride), _Block(n_out, n_out, 1)
            self.add_module(f"layer{at}", nn.Sequential(*blocks))
        self.classifier = nn.Linear(512, 5)

    def forward(self, x: Any) -> Any:
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.classifier(x.mean((2, 3)))


def test_a_torch_resnet_reaches_paddles_own_resnet18() -> None:
    reference, candidate = _ResNet18(), paddle.vision.models.resnet18(num_classes=5)

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, floats(1, 3, 64, 64)) < CLOSE
    assert pairs_of(plan)["layer2.0.shortcut.1.running_var"] == "layer2.0.downsample.1._variance"
    assert "bn1.num_batches_tracked" in plan.harmless()


class _SplitGpt(nn.Module):  # type: ignore[misc]
    """A GPT-2 block with separate q, k and v, as a second library would write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.self_attn = nn.ModuleDict(
            {f"{name}_proj": nn.Linear(width, width) for name in ("v", "k", "q", "out")}
        )
        self.norm2 = nn.LayerNorm(width)
        self.linear2 = nn.Linear(4 * width, width)
        self.linear1 = nn.Linear(width, 4 * width)

    def forward(self, x: Any) -> Any:
        n_batch, n_time, width = x.shape
        y = self.norm1(x)
        q, k, v = (
            self.self_attn[f"{n}_proj"](y).view(n_batch, n_time, 2, -1).transpose(1, 2)
            for n in "qkv"
        )
        core = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.self_attn["out_proj"](core.transpose(1, 2).reshape(n_batch, n_time, width))
        gelu = torch.nn.functional.gelu(self.linear1(self.norm2(x)), approximate="tanh")
        return x + self.linear2(gelu)


def test_the_fused_conv1d_of_gpt2_reaches_separate_linear_layers() -> None:
    from transformers import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    reference = GPT2Block(GPT2Config(n_embd=8, n_head=2, attn_implementation="sdpa"), layer_idx=0)
    randomise(reference)
    candidate = _SplitGpt(8)

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, floats(2, 5, 8)) < CLOSE
    assert pairs_of(plan)["attn.c_attn.weight"] == (
        "self_attn.q_proj.weight+self_attn.k_proj.weight+self_attn.v_proj.weight"
    )
