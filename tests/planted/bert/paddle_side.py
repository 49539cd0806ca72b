"""The candidate: the shipped Paddle BERT with one mistake, as porters make them.

`settings.mistake` names a function below, or "none".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.optimizer import lr

from portalign.ports.bert import paddle_side as shipped


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = shipped.build(settings)
    if settings["mistake"] != "none":
        MISTAKES[str(settings["mistake"])](model)
    model.eval()
    return model


def _tanh_gelu(model: Any) -> None:
    model.bert.encoder.layers[1] = _TanhGelu(shipped.SHAPES["mini"])


def _norm_epsilon(model: Any) -> None:
    model.bert.encoder.layers[1].norm2 = nn.LayerNorm(64, epsilon=1.0e-5)


def _transposed_weight(model: Any) -> None:
    model.bert.encoder.layers[2].self_attn.k_proj = _Transposed(64, 64)


def _unscaled_attention(model: Any) -> None:
    model.bert.encoder.layers[0].self_attn.head_dim = 1
    model.bert.encoder.layers[0].self_attn.__class__ = _Unscaled


def _last_token_pooled(model: Any) -> None:
    model.bert.pooler.__class__ = _LastToken


def _inner_bias_left_out(model: Any) -> None:
    model.bert.encoder.layers[0].linear2.__class__ = _WithoutBias


MISTAKES: dict[str, Callable[[Any], None]] = {
    "tanh_gelu": _tanh_gelu,
    "norm_epsilon": _norm_epsilon,
    "transposed_weight": _transposed_weight,
    "unscaled_attention": _unscaled_attention,
    "last_token_pooled": _last_token_pooled,
    "inner_bias_left_out": _inner_bias_left_out,
}


class _TanhGelu(shipped.BertEncoderLayer):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout1(self.self_attn(x, mask)))
        ffn = self.linear2(F.gelu(self.linear1(x), approximate=True))
        return self.norm2(x + self.dropout2(ffn))


class _Transposed(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


class _Unscaled(shipped.BertAttention):
    def _split_heads(self, x: Tensor) -> Tensor:
        x = paddle.reshape(x, [0, 0, self.num_heads, -1])
        return x.transpose(perm=[0, 2, 1, 3])


class _LastToken(shipped.BertPooler):
    def forward(self, x: Tensor) -> Tensor:
        return paddle.tanh(self.dense(x[:, -1]))


class _WithoutBias(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


def adamw(
    model: nn.Layer, learning_rate: Any, grad_clip: Any, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.AdamW(
        learning_rate, parameters=model.parameters(), grad_clip=grad_clip, weight_decay=0.01
    )


def adamw_in_bfloat16(
    model: nn.Layer, learning_rate: Any, grad_clip: Any, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    return _Bfloat16Weights(
        learning_rate, parameters=model.parameters(), grad_clip=grad_clip, weight_decay=0.01
    )


class _Bfloat16Weights(paddle.optimizer.AdamW):
    """An optimizer without main weights: what it writes has eight bits, its twin all of them."""

    def step(self) -> None:
        super().step()
        with paddle.no_grad():
            for weight in self._parameter_list:
                if weight.dtype == paddle.float32:
                    paddle.assign(weight.astype("bfloat16").astype("float32"), weight)


def adamw_without_clip(
    model: nn.Layer, learning_rate: Any, grad_clip: Any, settings: Mapping[str, object]
) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.AdamW(learning_rate, parameters=model.parameters(), weight_decay=0.01)


def mean_loss(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"])


def sum_loss(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"], reduction="sum")


def loss_of_shape_1(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    return mean_loss(outputs, batch).reshape([1])


def warmup(settings: Mapping[str, object]) -> lr.LRScheduler:
    return lr.LambdaDecay(1.0e-3, lambda step: min(1.0, step / 100))


def late_warmup(settings: Mapping[str, object]) -> lr.LRScheduler:
    return lr.LambdaDecay(1.0e-3, lambda step: min(1.0, (step + 1) / 100))


def never_stepped(settings: Mapping[str, object]) -> lr.LRScheduler:
    return _Forgotten(1.0e-3, lambda step: min(1.0, (step + 1) / 100))


class _Forgotten(lr.LambdaDecay):
    """A training loop that forgot `scheduler.step()`: only the constructor's own step counts."""

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch < 0:
            super().step(epoch)
