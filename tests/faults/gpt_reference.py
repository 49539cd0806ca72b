"""The reference decoder: RMSNorm, rotary positions, grouped keys and values, SwiGLU, tied head,
capped logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from seeded import seeded
from torch import Tensor, nn

WIDTH, HEADS, KV_HEADS, LAYERS, INNER = 64, 4, 2, 3, 96
VOCABULARY, EPS, BASE, CAP = 48, 1e-6, 10000.0, 30.0
HEAD_WIDTH = WIDTH // HEADS


def build(settings: Mapping[str, object]) -> nn.Module:
    return seeded(Gpt(str(settings.get("positions", "rotary"))), settings, seed=2)


class Gpt(nn.Module):
    """With rotary positions, or with ALiBi."""

    def __init__(self, positions: str) -> None:
        super().__init__()
        self.has_slopes = positions == "alibi"
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = RMSNorm()
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.lm_head.weight = self.embed_tokens.weight

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        x = self.embed_tokens(input_ids) * WIDTH**0.5
        time = input_ids.shape[1]
        angles = rotary_angles(time)  # [time, head width]
        rotation = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        mask = torch.full((time, time), torch.finfo(x.dtype).min, dtype=x.dtype).triu(1)
        if self.has_slopes:
            rotation = torch.ones_like(rotation[0]), torch.zeros_like(rotation[1])
            slopes = 2.0 ** -torch.arange(2.0, 2.0 * HEADS + 1, 2.0).view(-1, 1, 1)
            places = torch.arange(float(time))
            mask = mask - (slopes * (places[:, None] - places).abs()).to(
                x.dtype
            )  # [heads, time, time]
        for layer in self.layers:
            x = layer(x, rotation, mask)
        logits = self.lm_head(self.norm(x))
        return {"logits": CAP * torch.tanh(logits / CAP)}


def rotary_angles(time: int) -> Tensor:
    steps = torch.arange(0, HEAD_WIDTH, 2, dtype=torch.float32) / HEAD_WIDTH
    angles = torch.outer(torch.arange(time, dtype=torch.float32), 1.0 / BASE**steps)
    return torch.cat([angles, angles], dim=-1)


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)
        return self.weight * wide.to(x.dtype)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm()
        self.self_attn = Attention()
        self.post_attention_layernorm = RMSNorm()
        self.mlp = Mlp()

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k_proj = nn.Linear(WIDTH, KV_HEADS * HEAD_WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, KV_HEADS * HEAD_WIDTH, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        q, k, v = (self._heads(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
        q, k = _rotate(q, rotation), _rotate(k, rotation)
        k, v = (part.repeat_interleave(HEADS // KV_HEADS, dim=1) for part in (k, v))
        scores = q @ k.transpose(-1, -2) / HEAD_WIDTH**0.5 + mask
        context = scores.softmax(dim=-1) @ v  # [batch, heads, time, head width]
        return self.o_proj(context.transpose(1, 2).flatten(2))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, INNER, bias=False)
        self.up_proj = nn.Linear(WIDTH, INNER, bias=False)
        self.act = nn.SiLU()
        self.down_proj = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))
