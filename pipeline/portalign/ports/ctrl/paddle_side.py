"""The candidate of the CTRL port, written for Paddle with transformers' names.

As in the published port, the position table is computed here and not carried, and masked scores
get -1e4 where transformers takes the lowest float32. The initial values don't matter: portalign
puts the reference's weights in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from portalign.ports.ctrl.shapes import Shape, shape_of

MASK_VALUE = -1.0e4
TABLES = ("own", "copied")


def build(settings: Mapping[str, object]) -> nn.Layer:
    """Build the model, in eval mode, in float32.

    Args:
        settings: `size`, `vocab` (see `shapes`); `table`: "own" computes the position table here,
            "copied" takes the reference's; `mask_value` (-1e4).

    Raises:
        ValueError: there is no such size, vocabulary or table.
    """
    table = str(settings.get("table", "own"))
    if table not in TABLES:
        raise ValueError(f"table is {table!r}; this port has {', '.join(TABLES)}")
    mask_value = float(str(settings.get("mask_value", MASK_VALUE)))
    nn.initializer.set_global_initializer(nn.initializer.Constant(0.0))  # a fifth of the time
    try:
        model = Ctrl(shape_of(settings), is_table_carried=table == "copied", mask_value=mask_value)
    finally:
        nn.initializer.set_global_initializer(None)
    model.eval()
    return model


def position_table(n_positions: int, width: int) -> Tensor:
    """Sines in the first half, cosines in the second, [n_positions, width], float32.

    The same sinusoids as transformers', with the rates as exp(-log(10000) 2i/width).
    """
    positions = paddle.arange(n_positions).astype("float32").unsqueeze(1)
    rates = paddle.exp(paddle.arange(0, width, 2).astype("float32") * (-math.log(10000.0) / width))
    angles = positions * rates.unsqueeze(0)  # [positions, width / 2]
    return paddle.concat([paddle.sin(angles), paddle.cos(angles)], axis=-1)


class MultiHeadAttention(nn.Layer):
    """Causal attention of several heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.n_heads = shape.n_heads
        self.head_width = shape.width // shape.n_heads
        self.Wq = nn.Linear(shape.width, shape.width)
        self.Wk = nn.Linear(shape.width, shape.width)
        self.Wv = nn.Linear(shape.width, shape.width)
        self.dense = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map [batch, time, width] to the same; the mask is added to the scores."""
        query, key, value = (self._heads(project(x)) for project in (self.Wq, self.Wk, self.Wv))
        scores = paddle.matmul(query, key, transpose_y=True) / math.sqrt(self.head_width)
        weights = F.softmax(scores + mask, axis=-1)  # [batch, heads, time, time]
        mixed = paddle.matmul(weights, value).transpose([0, 2, 1, 3])
        return self.dense(mixed.flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape([0, 0, self.n_heads, self.head_width]).transpose([0, 2, 1, 3])


class EncoderLayer(nn.Layer):
    """One layer, its norms in front."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.multi_head_attention = MultiHeadAttention(shape)
        self.ffn = nn.Sequential(
            nn.Linear(shape.width, shape.inner_width),
            nn.ReLU(),
            nn.Linear(shape.inner_width, shape.width),
        )
        self.layernorm1 = nn.LayerNorm(shape.width, epsilon=1.0e-6)
        self.layernorm2 = nn.LayerNorm(shape.width, epsilon=1.0e-6)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map [batch, time, width] to the same."""
        x = x + self.multi_head_attention(self.layernorm1(x), mask)
        return x + self.ffn(self.layernorm2(x))


class CtrlModel(nn.Layer):
    """Embedding, layers, last norm."""

    def __init__(self, shape: Shape, *, is_table_carried: bool, mask_value: float) -> None:
        super().__init__()
        self.scale = math.sqrt(shape.width)
        self.mask_value = mask_value
        self.w = nn.Embedding(shape.vocab_size, shape.width)
        self.h = nn.LayerList([EncoderLayer(shape) for _ in range(shape.n_layers)])
        self.layernorm = nn.LayerNorm(shape.width, epsilon=shape.epsilon)
        table = position_table(shape.n_positions, shape.width)
        self.register_buffer("pos_encoding", table, persistable=is_table_carried)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, ...]:
        """Hidden states [batch, time, width]: the embedding's, all but the last layer's, the
        norm's."""
        n_positions = input_ids.shape[1]
        x = self.w(input_ids) * self.scale + self.pos_encoding[:n_positions]
        mask = paddle.triu(paddle.ones([n_positions, n_positions]), 1) * self.mask_value
        if attention_mask is not None:
            hidden = 1.0 - attention_mask.astype("float32")[:, None, None, :]
            mask = mask + hidden * self.mask_value  # [batch, 1, time, time]
        states = [x]
        for layer in self.h:
            states.append(layer(states[-1], mask))
        return (*states[:-1], self.layernorm(states[-1]))


class Head(nn.Layer):
    """Logits from the embedding's own weight, with a bias."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.bias = self.create_parameter([vocab_size], is_bias=True)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map [batch, time, width] to [batch, time, vocab]."""
        return paddle.matmul(x, embedding, transpose_y=True) + self.bias


class Ctrl(nn.Layer):
    """The language model; its head shares the embedding's weight."""

    def __init__(self, shape: Shape, *, is_table_carried: bool, mask_value: float) -> None:
        super().__init__()
        self.transformer = CtrlModel(
            shape, is_table_carried=is_table_carried, mask_value=mask_value
        )
        self.lm_head = Head(shape.vocab_size)

    def forward(
        self, input_ids: Tensor, labels: Tensor, attention_mask: Tensor | None = None
    ) -> dict[str, object]:
        """Loss [], logits [batch, time, vocab] and hidden states, [batch, time, width] each."""
        states = self.transformer(input_ids, attention_mask)
        logits = self.lm_head(states[-1], self.transformer.w.weight)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return {"loss": loss, "logits": logits, "hidden_states": states}
