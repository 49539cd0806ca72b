"""The encoder again in torch, other names and functional activations, with every fault and rewrite
it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch_parts import Norm, OwnEmbedding, OwnLinear, softmax

from planted import Asked, Planted

WIDTH, HEADS, LAYERS, INNER, CLASSES = 32, 2, 3, 64, 3
EPS, PADDING = 1e-12, 0


def build(settings: Mapping[str, object]) -> nn.Module:
    model = Encoder(Planted(settings))
    return model.to(getattr(torch, str(settings.get("dtype", "float32")))).eval()


class Encoder(nn.Module):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        padding = PADDING if self.on("padding_idx") else None
        self.word_embeddings = OwnEmbedding(50, WIDTH, padding, self.on)
        self.position_embeddings = nn.Embedding(16, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.embeddings_norm = Norm(WIDTH, planted.at(0), eps=EPS)
        self.blocks = nn.ModuleList(Block(planted.at(layer)) for layer in range(LAYERS))
        self.pooler = nn.Linear(WIDTH, WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor
    ) -> dict[str, Tensor]:
        x = self.embed(input_ids, token_type_ids)
        mask = self.mask(attention_mask, x)
        for layer, block in enumerate(self.blocks):
            if self.on("layer_skipped") and layer == 1:
                continue
            if self.on("layer_repeated") and layer == 1:
                x = block(x, mask)
            if self.on("checkpoint"):
                x = checkpoint(block, x, mask, use_reentrant=False)
            else:
                x = block(x, mask)
        first = x[:, -1] if self.on("last_token_pooled") else x[:, 0]
        if self.on("mean_pooled"):
            first = x.mean(1)
        pooled = self.pooler(first)
        if not self.on("no_pooler_tanh"):
            pooled = torch.tanh(pooled)
        return {"logits": self.classifier(pooled), "hidden": x}

    def embed(self, ids: Tensor, types: Tensor) -> Tensor:
        on = self.on
        positions = torch.arange(ids.shape[1])[None]
        if on("positions_offset"):
            positions = positions + 2
        if on("positions_cumsum"):
            positions = torch.ones_like(ids).cumsum(1) - 1
        types = torch.zeros_like(types) if on("types_ignored") else types
        words = self.word_embeddings(ids)
        if on("words_scaled"):
            words = words * WIDTH**0.5
        x = self.token_type_embeddings(types) + self.position_embeddings(positions) + words
        if on("no_embedding_norm"):
            return x
        x = self.embeddings_norm(x)
        if on("dropout_left_on"):
            return F.dropout(x, 0.1, training=True)
        return x * 0.9 if on("dropout_scaled_in_eval") else x

    def mask(self, keep: Tensor, x: Tensor) -> Tensor | None:
        on = self.on
        if on("mask_ignored"):
            return None
        keep = keep[:, None, None, :]
        if on("mask_inverted"):
            keep = 1 - keep
        if on("mask_infinite"):
            return torch.zeros_like(keep, dtype=x.dtype).masked_fill(keep == 0, -torch.inf)
        lowest = torch.finfo(x.dtype).min
        lowest = -1e9 if on("mask_minus_1e9") else -8.0 if on("mask_too_small") else lowest
        return (1.0 - keep.to(x.dtype)) * lowest


class Block(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        is_fused = on("fused_qkv") or on("fused_by_heads")
        self.attn = (FusedAttention if is_fused else Attention)(on)
        self.norm1 = Norm(WIDTH, on, eps=1e-5 if on("norm_eps") else EPS)
        self.fc1 = OwnLinear(WIDTH, INNER, on, "fc1")
        self.fc2 = OwnLinear(INNER, WIDTH, on, "fc2")
        self.norm2 = nn.LayerNorm(WIDTH, eps=EPS)
        self.norm1.beside = (self.norm2,)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        on = self.on
        if on("noisy"):
            random = torch.Generator().manual_seed(5)
            x = x + 0.01 * torch.randn(x.shape, generator=random).to(x.dtype)
        if on("tokens_shifted"):
            x = 0.5 * x + 0.5 * x.roll(1, dims=1)
        if on("pre_norm"):
            x = x + self.attn(self.norm1(x), mask)
        elif on("residual_after_norm"):
            x = x + self.norm1(self.attn(x, mask))
        elif on("residual_swapped"):
            x = self.norm1(self.attn(x, mask) + x)
        elif on("residual_scaled"):
            x = self.norm1(0.5 * x + self.attn(x, mask))
        elif on("residual_detached"):
            x = self.norm1(x.detach() + self.attn(x, mask))
        elif on("branch_dropout_left_on"):
            x = self.norm1(x + F.dropout(self.attn(x, mask), 0.25, training=True))
        else:
            x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.fc2(self.activate(self.fc1(x))))

    def activate(self, x: Tensor) -> Tensor:
        on = self.on
        if on("gelu_tanh"):
            return F.gelu(x, approximate="tanh")
        if on("gelu_quick"):
            return x * torch.sigmoid(1.702 * x)
        if on("gelu_by_erf"):
            return x * 0.5 * (1.0 + torch.erf(x / 2**0.5))
        if on("relu_for_gelu"):
            return F.relu(x)
        if on("gradient_clamped"):
            if x.requires_grad:
                x = Clamped.apply(x)
            return F.gelu(x)
        if on("straight_through"):
            return x + (F.gelu(x) - x).detach()
        return F.gelu(x)


class Clamped(torch.autograd.Function):
    """Gives back no more gradient than a limit."""

    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return gradient.clamp(-1e-3, 1e-3)


class Attention(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.wq = OwnLinear(WIDTH, WIDTH, on, "query")
        self.wk = OwnLinear(WIDTH, WIDTH, on, "key")
        self.wv = OwnLinear(WIDTH, WIDTH, on, "value")
        self.wo = OwnLinear(WIDTH, WIDTH, on, "out")
        self.wq.beside, self.wk.beside = (self.wk,), (self.wq,)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (_heads(part) for part in self.project(x))
        return self.wo(_merged(self.core(q, k, v, mask), self.on))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.wq(x), self.wk(x), self.wv(x)
        if self.on("query_key_swapped"):
            q, k = k, q
        return q, k, v

    def core(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        on = self.on
        if on("sdpa"):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        if on("chunked_attention"):
            parts = [_plain(part, k, v, mask) for part in q.split(3, dim=2)]
            return torch.cat(parts, dim=2)
        if on("operands_in_bfloat16"):
            q, k = (part.to(torch.bfloat16).to(v.dtype) for part in (q, k))
        if on("keys_normalised"):
            k = F.normalize(k, dim=-1)
        width = 1 if on("no_scale") else WIDTH if on("scale_by_full_width") else WIDTH // HEADS
        if on("einsum"):
            scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / width**0.5
        elif on("scaled_query"):
            scores = (q * width**-0.5) @ k.mT
        else:
            scores = q @ k.mT / width**0.5
        if on("slopes_added"):
            places = torch.arange(scores.shape[-1])
            slopes = torch.tensor([2.0**-4, 2.0**-8], dtype=scores.dtype).view(-1, 1, 1)
            scores = scores - slopes * (places - places[:, None]).abs()
        if on("scores_clipped"):
            scores = scores.clamp(-1.0, 1.0)
        if on("scores_in_bfloat16"):
            scores = scores.to(torch.bfloat16).to(v.dtype)
        scores = scores if mask is None else scores + mask
        weights = softmax(scores, on)
        if on("weights_dropout_left_on"):
            weights = F.dropout(weights, 0.1, training=True)
        if on("weights_detached"):
            weights = weights.detach()
        return torch.einsum("bhqk,bhkd->bhqd", weights, v) if on("einsum") else weights @ v


class FusedAttention(Attention):
    """Query, key and value in one matrix."""

    def __init__(self, on: Asked) -> None:
        nn.Module.__init__(self)
        self.on = on
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.wo = nn.Linear(WIDTH, WIDTH)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        packed = self.qkv(x)
        if self.on("fused_by_heads"):
            by_heads = packed.unflatten(-1, (HEADS, 3, -1))
            return tuple(part.flatten(-2) for part in by_heads.unbind(-2))
        q, k, v = packed.chunk(3, dim=-1)
        return q, k, v


def _plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = q @ k.mT / (WIDTH // HEADS) ** 0.5
    return (scores if mask is None else scores + mask).softmax(-1) @ v


def _heads(x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], HEADS, WIDTH // HEADS).permute(0, 2, 1, 3)


def _merged(context: Tensor, on: Asked) -> Tensor:
    if on("heads_not_transposed"):
        return context.reshape(context.shape[0], context.shape[2], WIDTH)
    return context.permute(0, 2, 1, 3).reshape(context.shape[0], context.shape[2], WIDTH)
