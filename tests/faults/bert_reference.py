"""The encoder: post-norm, absolute positions, token types, a pooler on the first token."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from seeded import seeded
from torch import Tensor, nn

WIDTH, HEADS, LAYERS, INNER, CLASSES = 32, 2, 3, 64, 3
VOCABULARY, POSITIONS, TYPES, EPS = 50, 16, 2, 1e-12


def build(settings: Mapping[str, object]) -> nn.Module:
    return seeded(Bert(), settings, seed=1)


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.pooler = nn.Linear(WIDTH, WIDTH)
        self.pooler_act = nn.Tanh()
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor
    ) -> dict[str, Tensor]:
        x = self.embeddings(input_ids, token_type_ids)
        lowest = torch.finfo(x.dtype).min
        mask = (1 - attention_mask[:, None, None, :].to(x.dtype)) * lowest  # [batch, 1, 1, time]
        for layer in self.layers:
            x = layer(x, mask)
        return {"logits": self.classifier(self.pooler_act(self.pooler(x[:, 0]))), "hidden": x}


class Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(TYPES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device)[None]  # [1, time]
        x = self.word_embeddings(ids) + self.position_embeddings(positions)
        return self.dropout(self.norm(x + self.token_type_embeddings(types)))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.attention_norm = nn.LayerNorm(WIDTH, eps=EPS)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(WIDTH, INNER), "act": nn.GELU(), "fc2": nn.Linear(INNER, WIDTH)}
        )
        self.ffn_norm = nn.LayerNorm(WIDTH, eps=EPS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention_norm(x + self.attention(x, mask))
        inner = self.mlp["act"](self.mlp["fc1"](x))
        return self.ffn_norm(x + self.mlp["fc2"](inner))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (self._heads(part(x)) for part in (self.query, self.key, self.value))
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + mask
        context = scores.softmax(dim=-1) @ v  # [batch, heads, time, width per head]
        return self.dense(context.transpose(1, 2).flatten(2))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
