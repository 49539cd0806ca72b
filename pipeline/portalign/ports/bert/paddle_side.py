"""The candidate of the BERT port: BERT with a classifier on top, written for Paddle.

Names and structure are the ones Paddle users know from their own transformer library
(`self_attn.q_proj`, `linear1`, `norm1`), so parameters map to the reference by name rules and not
by equality. The initial values don't matter: portalign puts the reference's weights in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Normal


@dataclass(frozen=True, slots=True)
class BertShape:
    """The numbers that make a BERT."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    ffn_size: int
    max_positions: int
    type_vocab_size: int = 2
    num_classes: int = 2
    dropout: float = 0.1
    epsilon: float = 1.0e-12  # Paddle stores it in float32, as 9.9999999600419720e-13
    init_std: float = 0.02


SHAPES = {
    "mini": BertShape(1000, 64, num_layers=3, num_heads=4, ffn_size=128, max_positions=64),
    "base": BertShape(30522, 768, num_layers=12, num_heads=12, ffn_size=3072, max_positions=512),
}


def build(settings: Mapping[str, object]) -> nn.Layer:
    """Build the classifier, in eval mode, in the default dtype.

    Args:
        settings: `size`, "mini" (default) or "base".

    Returns:
        A layer that takes `input_ids`, `token_type_ids` and `attention_mask`, int64 [batch, time],
        and returns a dict: `logits` [batch, 2] and `hidden_states`, a tuple of the embeddings and
        every layer's output, [batch, time, hidden].

    Raises:
        ValueError: there is no such size.
    """
    size = str(settings.get("size", "mini"))
    if size not in SHAPES:
        raise ValueError(f"size is {size!r}; this port has {', '.join(SHAPES)}")
    model = BertForSequenceClassification(SHAPES[size])
    model.eval()
    return model


class BertForSequenceClassification(nn.Layer):
    """BERT and a linear classifier on the pooled first token."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.bert = BertModel(shape)
        self.dropout = nn.Dropout(shape.dropout)
        self.classifier = _linear(shape, shape.hidden_size, shape.num_classes)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> dict[str, Tensor | tuple[Tensor, ...]]:
        hidden_states, pooled = self.bert(input_ids, token_type_ids, attention_mask)
        logits = self.classifier(self.dropout(pooled))  # [batch, classes]
        return {"logits": logits, "hidden_states": hidden_states}


class BertModel(nn.Layer):
    """Embeddings, encoder and pooler."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(shape)
        self.encoder = BertEncoder(shape)
        self.pooler = BertPooler(shape)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        if attention_mask is None:
            attention_mask = paddle.ones_like(input_ids)
        embedded = self.embeddings(input_ids, token_type_ids)
        hidden_states = self.encoder(embedded, additive_mask(attention_mask, embedded.dtype))
        return hidden_states, self.pooler(hidden_states[-1])


class BertEmbeddings(nn.Layer):
    """Words, positions and segments, summed and normalised."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.word_embeddings = _embedding(shape, shape.vocab_size)
        self.position_embeddings = _embedding(shape, shape.max_positions)
        self.token_type_embeddings = _embedding(shape, shape.type_vocab_size)
        self.layer_norm = nn.LayerNorm(shape.hidden_size, epsilon=shape.epsilon)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        positions = paddle.arange(input_ids.shape[1], dtype="int64").unsqueeze(0)  # [1, time]
        if token_type_ids is None:
            token_type_ids = paddle.zeros_like(input_ids)
        embedded = (
            self.word_embeddings(input_ids)
            + self.position_embeddings(positions)
            + self.token_type_embeddings(token_type_ids)
        )
        return self.dropout(self.layer_norm(embedded))


class BertEncoder(nn.Layer):
    """The stack of layers; returns what went into the first and what each returned."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.layers = nn.LayerList([BertEncoderLayer(shape) for _ in range(shape.num_layers)])

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        hidden_states: tuple[Tensor, ...] = (x,)
        for layer in self.layers:
            x = layer(x, mask)
            hidden_states += (x,)
        return hidden_states


class BertEncoderLayer(nn.Layer):
    """Attention and feed-forward, each followed by residual sum and norm."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.self_attn = BertAttention(shape)
        self.norm1 = nn.LayerNorm(shape.hidden_size, epsilon=shape.epsilon)
        self.linear1 = _linear(shape, shape.hidden_size, shape.ffn_size)
        self.linear2 = _linear(shape, shape.ffn_size, shape.hidden_size)
        self.norm2 = nn.LayerNorm(shape.hidden_size, epsilon=shape.epsilon)
        self.dropout1 = nn.Dropout(shape.dropout)
        self.dropout2 = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout1(self.self_attn(x, mask)))
        ffn = self.linear2(F.gelu(self.linear1(x), approximate=False))
        return self.norm2(x + self.dropout2(ffn))


class BertAttention(nn.Layer):
    """Multi-head self-attention with an additive mask."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.head_dim = shape.hidden_size // shape.num_heads
        self.q_proj = _linear(shape, shape.hidden_size, shape.hidden_size)
        self.k_proj = _linear(shape, shape.hidden_size, shape.hidden_size)
        self.v_proj = _linear(shape, shape.hidden_size, shape.hidden_size)
        self.out_proj = _linear(shape, shape.hidden_size, shape.hidden_size)
        self.attn_dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q = self._split_heads(self.q_proj(x)) * self.head_dim**-0.5
        k = self._split_heads(self.k_proj(x))
        v = self._split_heads(self.v_proj(x))
        scores = paddle.matmul(q, k, transpose_y=True) + mask  # [batch, heads, time, time]
        weights = self.attn_dropout(F.softmax(scores, axis=-1))
        context = paddle.matmul(weights, v).transpose(perm=[0, 2, 1, 3])
        return self.out_proj(context.flatten(start_axis=2))

    def _split_heads(self, x: Tensor) -> Tensor:
        x = paddle.reshape(x, [0, 0, self.num_heads, self.head_dim])  # 0: keep this axis
        return x.transpose(perm=[0, 2, 1, 3])  # [batch, heads, time, head_dim]


class BertPooler(nn.Layer):
    """The first token, through a linear layer and tanh."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.dense = _linear(shape, shape.hidden_size, shape.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return paddle.tanh(self.dense(x[:, 0]))


def additive_mask(attention_mask: Tensor, dtype: paddle.dtype) -> Tensor:
    """Turn 1 / 0 [batch, time] into 0 / lowest finite value [batch, 1, 1, time], as `dtype`."""
    hidden = 1.0 - attention_mask.unsqueeze([1, 2]).astype(dtype)
    return hidden * paddle.finfo(dtype).min


def _linear(shape: BertShape, n_in: int, n_out: int) -> nn.Linear:
    return nn.Linear(n_in, n_out, weight_attr=Normal(std=shape.init_std))


def _embedding(shape: BertShape, n_rows: int) -> nn.Embedding:
    return nn.Embedding(n_rows, shape.hidden_size, weight_attr=Normal(std=shape.init_std))
