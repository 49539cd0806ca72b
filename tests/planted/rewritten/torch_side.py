"""A pre-norm residual model, and the same after folding its norms and centring what may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

VOCABULARY, WIDTH, INNER, N_LAYERS = 31, 12, 20, 2


class Block(nn.Module):
    """Norm, two linears, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.act = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.act(self.up(self.norm(x))))


class Model(nn.Module):
    """Embedding, blocks, last norm, unembedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList([Block() for _ in range(N_LAYERS)])
        self.last_norm = nn.LayerNorm(WIDTH)
        self.unembed = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return {"logits": self.unembed(self.last_norm(x))}


@torch.no_grad()
def plain(settings: Mapping[str, object]) -> nn.Module:
    torch.manual_seed(3)
    model = Model().eval()
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.unembed.weight.add_(torch.randn(WIDTH))
    return model


@torch.no_grad()
def rewritten(settings: Mapping[str, object]) -> nn.Module:
    fault = settings["fault"]
    model = plain(settings)
    if fault == "reordered":
        return reordered(model)
    for layer in model.layers:
        fold(layer.norm, layer.up, is_skipped=fault == "norm_dropped")
        centre(layer.down.weight, 0)
        centre(layer.down.bias, 0)
    fold(model.last_norm, model.unembed, is_skipped=False)
    centre(model.embed.weight, 1)
    if fault != "not_centred":
        centre(model.unembed.weight, 0)
        centre(model.unembed.bias, 0)
    if fault == "one_row":
        model.unembed.weight[5] *= 1.01
    if fault == "unexplained_weight":  # the last norm's mean removal hides it from the outputs
        model.embed.weight.add_(0.25)
    return model


def reordered(model: Model) -> Model:
    """The channels of the residual stream backwards, the units of each layer shifted."""
    model.embed.weight.copy_(model.embed.weight.flip(1))
    for norm in (model.last_norm, *(layer.norm for layer in model.layers)):
        norm.weight.copy_(norm.weight.flip(0))
        norm.bias.copy_(norm.bias.flip(0))
    for layer in model.layers:
        layer.up.weight.copy_(layer.up.weight.flip(1).roll(1, 0))
        layer.up.bias.copy_(layer.up.bias.roll(1, 0))
        layer.down.weight.copy_(layer.down.weight.flip(0).roll(1, 1))
        layer.down.bias.copy_(layer.down.bias.flip(0))
    model.unembed.weight.copy_(model.unembed.weight.flip(1))
    return model


def fold(norm: nn.LayerNorm, reader: nn.Linear, *, is_skipped: bool) -> None:
    """Move a norm's weight and bias into the linear that reads it."""
    if not is_skipped:
        reader.bias.add_(reader.weight @ norm.bias)
        reader.weight.mul_(norm.weight[None, :])
        centre(reader.weight, 1)
    norm.weight.fill_(1.0)
    norm.bias.fill_(0.0)


def centre(tensor: torch.Tensor, axis: int) -> None:
    tensor.sub_(tensor.mean(axis, keepdim=True))


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, np.ndarray]]:
    yield {"input_ids": np.random.default_rng(0).integers(0, VOCABULARY, (3, 7))}
