"""The reference: three layers with projections of their own; `settings.form: shared` ties them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, HEADS, KV_WIDTH, INNER, N_LAYERS = 16, 4, 8, 24, 3


class Core(nn.Module):
    """Attention between its projections: [batch, heads, time, head width]."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))
        scores: Tensor = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return scores.softmax(dim=-1) @ v


class Layer(nn.Module):
    def __init__(self, kv_width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.q = nn.Linear(WIDTH, WIDTH)
        self.k = nn.Linear(WIDTH, kv_width)
        self.v = nn.Linear(WIDTH, kv_width)
        self.core = Core()
        self.o = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.gate = nn.Linear(WIDTH, INNER)
        self.up = nn.Linear(WIDTH, INNER)
        self.down = nn.Linear(INNER, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        heads = (_heads(part(y)) for part in (self.q, self.k, self.v))
        x = x + self.o(self.core(*heads).transpose(1, 2).flatten(2))
        y = self.norm2(x)
        inner: Tensor = self.down(F.silu(self.gate(y)) * self.up(y))
        return x + inner


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, WIDTH // HEADS)).transpose(1, 2)


class Encoder(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        kv_width = KV_WIDTH if form == "grouped" else WIDTH
        self.layers = nn.ModuleList(Layer(kv_width) for _ in range(N_LAYERS))
        self.head = nn.Linear(WIDTH, 3)
        for layer in self.layers[1:] if form == "shared" else ():
            for name, module in self.layers[0].named_children():
                if name != "core":
                    own = layer.get_submodule(name)
                    own.weight, own.bias = module.weight, module.bias

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return {"logits": self.head(x.mean(1))}


def build(settings: Mapping[str, object]) -> nn.Module:
    torch.manual_seed(0)
    return Encoder(str(settings["form"])).eval()
