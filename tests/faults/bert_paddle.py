"""The encoder ported to Paddle, with the names Paddle's users know, and every fault and rewrite it
can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute
from paddle_parts import Norm, OwnLinear, softmax, table_of

from planted import Asked, Planted

WIDTH, HEADS, LAYERS, INNER, CLASSES = 32, 2, 3, 64, 3
EPS, PADDING = 1e-12, 0


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = BertForSequenceClassification(Planted(settings))
    model.eval()
    return model


class BertForSequenceClassification(nn.Layer):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        self.embeddings = BertEmbeddings(planted)
        layers = [EncoderLayer(planted.at(layer)) for layer in range(LAYERS)]
        self.encoder = nn.LayerList(layers)
        self.pooler = nn.Linear(WIDTH, WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor
    ) -> dict[str, Tensor]:
        x = self.embeddings(input_ids, token_type_ids)
        mask = self.mask(attention_mask, x)
        for at, layer in enumerate(self.encoder):
            if self.on("layer_skipped") and at == 1:
                continue
            if self.on("layer_repeated") and at == 1:
                x = layer(x, mask)
            x = recompute(layer, x, mask) if self.on("checkpoint") else layer(x, mask)
        first = x[:, -1] if self.on("last_token_pooled") else x[:, 0]
        if self.on("mean_pooled"):
            first = x.mean(1)
        pooled = self.pooler(first)
        if not self.on("no_pooler_tanh"):
            pooled = paddle.tanh(pooled)
        return {"logits": self.classifier(pooled), "hidden": x}

    def mask(self, keep: Tensor, x: Tensor) -> Tensor | None:
        on = self.on
        if on("mask_ignored"):
            return None
        keep = keep.unsqueeze([1, 2])
        if on("mask_inverted"):
            keep = 1 - keep
        if on("mask_infinite"):
            zeros = paddle.zeros(keep.shape, dtype=x.dtype)
            return paddle.where(keep == 0, paddle.full_like(zeros, -float("inf")), zeros)
        lowest = paddle.finfo(x.dtype).min
        lowest = -1e9 if on("mask_minus_1e9") else -8.0 if on("mask_too_small") else lowest
        return (1.0 - keep.astype(x.dtype)) * lowest


class BertEmbeddings(nn.Layer):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        padding = PADDING if self.on("padding_idx") else None
        self.word_embeddings = PaddedEmbedding(50, WIDTH, padding, self.on)
        self.position_embeddings = nn.Embedding(16, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.layer_norm = nn.LayerNorm(WIDTH, epsilon=EPS)
        mode = "downscale_in_infer" if self.on("dropout_scaled_in_eval") else "upscale_in_train"
        self.dropout = nn.Dropout(0.1, mode=mode)

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:
        on = self.on
        positions = paddle.arange(ids.shape[1]).unsqueeze(0)
        if on("positions_offset"):
            positions = positions + 2
        if on("positions_cumsum"):
            positions = paddle.ones_like(ids).cumsum(1) - 1
        types = paddle.zeros_like(types) if on("types_ignored") else types
        words = self.word_embeddings(ids)
        if on("words_scaled"):
            words = words * WIDTH**0.5
        x = words + self.position_embeddings(positions) + self.token_type_embeddings(types)
        if on("no_embedding_norm"):
            return x
        x = self.layer_norm(x)
        return F.dropout(x, 0.1, training=True) if on("dropout_left_on") else self.dropout(x)


class PaddedEmbedding(nn.Embedding):
    """Rows are looked up as they are; with a padding row only its gradient is dropped."""

    def __init__(self, n_rows: int, width: int, padding: int | None, on: Asked) -> None:
        super().__init__(n_rows, width)
        self.padding, self.on = padding, on

    def forward(self, ids: Tensor) -> Tensor:
        rows = F.embedding(ids, table_of(self.weight, self.on))
        if self.padding is None:
            return rows
        return paddle.where((ids == self.padding).unsqueeze(-1), rows.detach(), rows)


class EncoderLayer(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        is_fused = on("fused_qkv") or on("fused_by_heads")
        self.self_attn = (FusedAttention if is_fused else Attention)(on)
        self.norm1 = Norm(WIDTH, on, eps=1e-5 if on("norm_eps") else EPS)
        self.linear1 = OwnLinear(WIDTH, INNER, on, "fc1")
        self.activation = Activation(on)
        self.linear2 = OwnLinear(INNER, WIDTH, on, "fc2")
        self.norm2 = nn.LayerNorm(WIDTH, epsilon=EPS)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        on = self.on
        if on("pre_norm"):
            x = x + self.self_attn(self.norm1(x), mask)
        elif on("residual_after_norm"):
            x = x + self.norm1(self.self_attn(x, mask))
        elif on("residual_swapped"):
            x = self.norm1(self.self_attn(x, mask) + x)
        elif on("residual_scaled"):
            x = self.norm1(0.5 * x + self.self_attn(x, mask))
        elif on("residual_detached"):
            x = self.norm1(x.detach() + self.self_attn(x, mask))
        elif on("branch_dropout_left_on"):
            x = self.norm1(x + F.dropout(self.self_attn(x, mask), 0.25, training=True))
        else:
            x = self.norm1(x + self.self_attn(x, mask))
        return self.norm2(x + self.linear2(self.activation(self.linear1(x))))


class Activation(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        if on("gelu_tanh"):
            return F.gelu(x, approximate=True)
        if on("gelu_quick"):
            return x * F.sigmoid(1.702 * x)
        if on("gelu_by_erf"):
            return x * 0.5 * (1.0 + paddle.erf(x / 2**0.5))
        if on("relu_for_gelu"):
            return F.relu(x)
        if on("straight_through"):
            return x + (F.gelu(x) - x).detach()
        return F.gelu(x)


class Attention(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.q_proj = OwnLinear(WIDTH, WIDTH, on, "query")
        self.k_proj = OwnLinear(WIDTH, WIDTH, on, "key")
        self.v_proj = OwnLinear(WIDTH, WIDTH, on, "value")
        self.out_proj = OwnLinear(WIDTH, WIDTH, on, "out")
        self.q_proj.beside, self.k_proj.beside = (self.k_proj,), (self.q_proj,)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (self.heads(part) for part in self.project(x))
        context = self.core(q, k, v, mask)  # [batch, heads, time, width per head]
        if not self.on("heads_not_transposed"):
            context = context.transpose([0, 2, 1, 3])
        return self.out_proj(context.reshape([x.shape[0], x.shape[1], WIDTH]))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        return (k, q, v) if self.on("query_key_swapped") else (q, k, v)

    @staticmethod
    def heads(x: Tensor) -> Tensor:
        return x.reshape([x.shape[0], x.shape[1], HEADS, WIDTH // HEADS]).transpose([0, 2, 1, 3])

    def core(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        on = self.on
        if on("sdpa"):
            flat = [part.transpose([0, 2, 1, 3]) for part in (q, k, v)]
            full = mask.expand([-1, HEADS, q.shape[2], -1])
            out = F.scaled_dot_product_attention(*flat, attn_mask=full, training=False)
            return out.transpose([0, 2, 1, 3])
        if on("chunked_attention"):
            return paddle.concat(
                [self.plain(part, k, v, mask) for part in q.split([3, 3, 4], axis=2)], axis=2
            )
        return self.plain(q, k, v, mask)

    def plain(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        on = self.on
        if on("operands_in_bfloat16"):
            q, k = (part.astype("bfloat16").astype(v.dtype) for part in (q, k))
        width = 1 if on("no_scale") else WIDTH if on("scale_by_full_width") else WIDTH // HEADS
        if on("einsum"):
            scores = paddle.einsum("bhqd,bhkd->bhqk", q, k) / width**0.5
        elif on("scaled_query"):
            scores = paddle.matmul(q * width**-0.5, k, transpose_y=True)
        else:
            scores = paddle.matmul(q, k, transpose_y=True) / width**0.5
        if on("slopes_added"):
            places = paddle.arange(scores.shape[-1])
            far = (places - places.unsqueeze(1)).abs().astype(scores.dtype)
            slopes = paddle.to_tensor([2.0**-4, 2.0**-8], dtype=scores.dtype)
            scores = scores - slopes.reshape([-1, 1, 1]) * far
        if on("scores_in_bfloat16"):
            scores = scores.astype("bfloat16").astype(v.dtype)
        weights = softmax(scores if mask is None else scores + mask, on)
        weights = weights.detach() if on("weights_detached") else weights
        if on("weights_dropout_left_on"):
            weights = F.dropout(weights, 0.1, training=True)
        return paddle.einsum("bhqk,bhkd->bhqd", weights, v) if on("einsum") else weights @ v


class FusedAttention(Attention):
    """Query, key and value in one matrix."""

    def __init__(self, on: Asked) -> None:
        nn.Layer.__init__(self)
        self.on = on
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        packed = self.qkv(x)
        if self.on("fused_by_heads"):
            by_heads = packed.reshape([*packed.shape[:2], HEADS, 3, -1])
            return tuple(part.flatten(2) for part in by_heads.unbind(3))
        q, k, v = packed.split(3, axis=-1)
        return q, k, v
