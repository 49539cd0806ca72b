"""The candidate of the Gemma-2 port, written for Paddle with transformers' names.

`claims` makes it wrong in the ways that published analyses of Gemma-2 ports describe, one at a time
or together. The initial values don't matter: portalign puts the reference's weights in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

from portalign.ports.gemma2.shapes import CLAIMS, SHAPE, Shape

WRONG_QUERY_SCALAR = 224.0  # width over heads of the 9B model, where the published one is 256
WRONG_ROTARY_BASE = 1.0e6


def build(settings: Mapping[str, object]) -> nn.Layer:
    """Build the model, in eval mode, in float32.

    Args:
        settings: `claims`, names from `shapes.CLAIMS` joined by "+"; "none" for none.

    Raises:
        ValueError: there is no such claim.
    """
    claims = frozenset(str(settings.get("claims", "none")).split("+")) - {"none"}
    if unknown := claims - set(CLAIMS):
        raise ValueError(f"no claim is called {sorted(unknown)}; there are {', '.join(CLAIMS)}")
    model = Gemma2(SHAPE, claims)
    model.eval()
    return model


def softcap(x: Tensor, cap: float) -> Tensor:
    """Squash values smoothly into (-cap, cap)."""
    return paddle.tanh(x / cap) * cap


class ScaledEmbedding(nn.Embedding):
    """An embedding times the root of its width, in the float32 that transformers keeps it in."""

    def __init__(self, n_rows: int, width: int) -> None:
        super().__init__(n_rows, width)
        scale = paddle.to_tensor(math.sqrt(width), dtype="float32")
        self.register_buffer("embed_scale", scale, persistable=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map token ids [batch, time] to [batch, time, width]."""
        return super().forward(x) * self.embed_scale


class RMSNorm(nn.Layer):
    """Root mean square norm whose weight counts from 1."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = self.create_parameter([width], default_initializer=Constant(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        scale = paddle.rsqrt((x * x).mean(-1, keepdim=True) + self.epsilon)
        return x * scale * (1.0 + self.weight)


class Rotary(nn.Layer):
    """Cosines and sines of every position, [1, time, head width], each half the same."""

    def __init__(self, shape: Shape, claims: frozenset[str]) -> None:
        super().__init__()
        base = WRONG_ROTARY_BASE if "rotary_base" in claims else shape.rotary_base
        exponents = paddle.arange(0, shape.head_width, 2).astype("float32") / shape.head_width
        self.register_buffer("inv_freq", 1.0 / (base**exponents), persistable=False)
        self.is_rounded = "rotary_bfloat16" in claims

    def forward(self, n_positions: int) -> tuple[Tensor, Tensor]:
        """Tables of the first `n_positions`."""
        positions = paddle.arange(n_positions).astype("float32").unsqueeze(1)
        angles = positions * self.inv_freq.unsqueeze(0)
        angles = paddle.concat([angles, angles], -1).unsqueeze(0)
        tables = paddle.cos(angles), paddle.sin(angles)
        if self.is_rounded:
            tables = tuple(table.astype("bfloat16").astype("float32") for table in tables)
        return tables


def rotate(x: Tensor, tables: tuple[Tensor, Tensor], *, is_interleaved: bool) -> Tensor:
    """Turn [batch, heads, time, head width] by its positions."""
    cos, sin = tables
    if is_interleaved:
        half = x.shape[-1] // 2
        cos, sin = (table[..., :half].repeat_interleave(2, -1) for table in tables)
        pairs = paddle.stack([-x[..., 1::2], x[..., 0::2]], -1)
        return x * cos + pairs.flatten(-2) * sin
    left, right = paddle.chunk(x, 2, -1)
    return x * cos + paddle.concat([-right, left], -1) * sin


class Attention(nn.Layer):
    """Grouped-query attention with a soft-cap on the scores."""

    def __init__(self, shape: Shape, claims: frozenset[str]) -> None:
        super().__init__()
        self.shape, self.claims = shape, claims
        n_query = shape.n_heads * shape.head_width
        n_key = shape.n_kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, n_query, bias_attr=False)
        self.k_proj = nn.Linear(shape.width, n_key, bias_attr=False)
        self.v_proj = nn.Linear(shape.width, n_key, bias_attr=False)
        self.o_proj = nn.Linear(n_query, shape.width, bias_attr=False)

    def forward(self, x: Tensor, tables: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Map [batch, time, width] to the same; the mask [time, time] is added to the scores."""
        shape, claims = self.shape, self.claims
        scalar = WRONG_QUERY_SCALAR if "attention_scale" in claims else shape.query_scalar
        turned = "rotary_interleaved" in claims
        query = rotate(self._heads(self.q_proj(x)), tables, is_interleaved=turned)
        key = rotate(self._heads(self.k_proj(x)), tables, is_interleaved=turned)
        value = self._heads(self.v_proj(x))
        n_repeats = shape.n_heads // shape.n_kv_heads
        key, value = (t.repeat_interleave(n_repeats, 1) for t in (key, value))
        if "einsum" in claims:
            scores = paddle.einsum("bhqd,bhkd->bhqk", query, key)
        else:
            scores = paddle.matmul(query, key, transpose_y=True)
        scores = scores / math.sqrt(scalar)
        if "no_attention_softcap" not in claims:
            scores = softcap(scores, shape.attention_softcap)
        weights = F.softmax(scores + mask, axis=-1)  # [batch, heads, time, time]
        mixed = paddle.matmul(weights, value).transpose([0, 2, 1, 3])
        return self.o_proj(mixed.flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape([0, 0, -1, self.shape.head_width]).transpose([0, 2, 1, 3])


class Mlp(nn.Layer):
    """Gated feed-forward with tanh GELU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.inner_width, bias_attr=False)
        self.up_proj = nn.Linear(shape.width, shape.inner_width, bias_attr=False)
        self.down_proj = nn.Linear(shape.inner_width, shape.width, bias_attr=False)
        self.act_fn = nn.GELU(approximate=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, time, width] to the same."""
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Layer):
    """Attention and feed-forward, each between two norms."""

    def __init__(self, shape: Shape, claims: frozenset[str]) -> None:
        super().__init__()
        self.self_attn = Attention(shape, claims)
        self.mlp = Mlp(shape)
        self.input_layernorm = RMSNorm(shape.width, shape.epsilon)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.epsilon)
        self.pre_feedforward_layernorm = RMSNorm(shape.width, shape.epsilon)
        self.post_feedforward_layernorm = RMSNorm(shape.width, shape.epsilon)

    def forward(self, x: Tensor, tables: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Map [batch, time, width] to the same."""
        mixed = self.self_attn(self.input_layernorm(x), tables, mask)
        x = x + self.post_attention_layernorm(mixed)
        fed = self.mlp(self.pre_feedforward_layernorm(x))
        return x + self.post_feedforward_layernorm(fed)


class Gemma2Model(nn.Layer):
    """Embedding, layers that alternate between local and global, last norm."""

    def __init__(self, shape: Shape, claims: frozenset[str]) -> None:
        super().__init__()
        self.shape = shape
        self.is_first_local = "layers_swapped" not in claims
        self.embed_tokens = ScaledEmbedding(shape.vocab_size, shape.width)
        self.layers = nn.LayerList([DecoderLayer(shape, claims) for _ in range(shape.n_layers)])
        self.norm = RMSNorm(shape.width, shape.epsilon)
        self.rotary_emb = Rotary(shape, claims)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Map token ids [batch, time] to [batch, time, width]."""
        n_positions = input_ids.shape[1]
        x = self.embed_tokens(input_ids)
        tables = self.rotary_emb(n_positions)
        later = paddle.ones([n_positions, n_positions])
        causal = paddle.triu(later, 1)
        local = causal + paddle.tril(later, -self.shape.window)
        for i, layer in enumerate(self.layers):
            is_local = (i % 2 == 0) == self.is_first_local
            mask = paddle.where(local > 0 if is_local else causal > 0, -1.0e30, 0.0)
            x = layer(x, tables, mask)
        return self.norm(x)


class Gemma2(nn.Layer):
    """The language model; its head is the embedding's weight, its logits are soft-capped."""

    def __init__(self, shape: Shape, claims: frozenset[str]) -> None:
        super().__init__()
        self.cap = 0.0 if "no_final_softcap" in claims else shape.final_softcap
        self.model = Gemma2Model(shape, claims)

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Logits [batch, time, vocab] of token ids [batch, time]."""
        x = self.model(input_ids)
        logits = paddle.matmul(x, self.model.embed_tokens.weight, transpose_y=True)
        return {"logits": softcap(logits, self.cap) if self.cap else logits}
