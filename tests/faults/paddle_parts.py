"""Parts that the paddle candidates share. Twin of `torch_parts`."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from planted import Asked


class OwnLinear(nn.Linear):
    """A linear layer that a fault named after it leaves with other values than it was given."""

    def __init__(self, n_in: int, n_out: int, on: Asked, name: str, *, bias: bool = True) -> None:
        super().__init__(n_in, n_out, bias_attr=None if bias else False)
        self.on, self.part = on, name
        self.beside: tuple[nn.Layer, ...] = ()
        if on(f"{name}_frozen"):
            self.weight.stop_gradient = True

    def forward(self, x: Tensor) -> Tensor:
        on, name, weight, bias = self.on, self.part, self.weight, self.bias
        if on(f"{name}_transposed"):
            weight = weight.t()
        if on(f"{name}_not_loaded"):
            weight = (
                paddle.cos(paddle.arange(weight.size, dtype=weight.dtype)).reshape(weight.shape)
                * 0.2
            )
        if on(f"{name}_bias_zero"):
            bias = paddle.zeros_like(self.bias)
        if on(f"{name}_through_bfloat16"):
            weight = bfloat16_values(weight)
        if on(f"{name}_scaled"):
            weight = 1.25 * weight
        if on(f"{name}_bias_not_loaded"):
            bias = paddle.linspace(-0.1, 0.1, weight.shape[1]).astype(weight.dtype)
        if on("biases_swapped") and self.beside:
            bias = self.beside[0].bias
        if on(f"{name}_heads_swapped"):
            weight = weight.roll(weight.shape[1] // 2, 1)
            bias = bias if bias is None else bias.roll(weight.shape[1] // 2, 0)
        if on(f"{name}_interleaved"):
            parts = weight.reshape([weight.shape[0], -1, 2, 8])
            weight = parts.transpose([0, 1, 3, 2]).reshape(weight.shape)
        if on("split_matmul"):
            half = x.shape[-1] // 2
            y = x[..., :half] @ weight[:half] + x[..., half:] @ weight[half:]
            return y if bias is None else y + bias
        if on("addmm") and bias is not None:
            flat = paddle.addmm(bias.expand([x.shape[0] * x.shape[1], -1]), x.flatten(0, 1), weight)
            return flat.reshape([*x.shape[:-1], -1])
        if on(f"{name}_sums_in_bfloat16"):
            return self.summed(x)
        if on(f"{name}_gradient_halved"):
            x = 0.5 * x + 0.5 * x.detach()
        return F.linear(x, weight, bias)

    def summed(self, x: Tensor) -> Tensor:
        """Four parts, and what was summed up to there rounded each time."""
        total = paddle.zeros([], dtype=x.dtype)
        for part, weight in zip(x.chunk(4, -1), self.weight.chunk(4, 0), strict=True):
            total = (total + part @ weight).astype("bfloat16").astype(x.dtype)
        return total if self.bias is None else total + self.bias


def table_of(weight: Tensor, on: Asked) -> Tensor:
    """A table that a fault leaves with other rows than it was given, or in another order."""
    if on("words_shifted"):
        return weight.roll(-1, 0)
    if on("words_permuted"):
        return weight.flip(0)
    if on("words_not_loaded"):
        values = paddle.cos(paddle.arange(weight.size, dtype=weight.dtype))
        return values.reshape(weight.shape)
    return weight * weight.shape[1] ** 0.5 if on("words_scaled_inside") else weight


class Norm(nn.LayerNorm):
    """A layer norm written anew."""

    def __init__(self, width: int, on: Asked, *, eps: float) -> None:
        super().__init__(width, epsilon=eps)
        self.on, self.eps = on, eps

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        if on("norm_without_mean"):
            return (
                x * paddle.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight
                + self.bias
            )
        if on("norm_unbiased"):
            x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + self.eps)
            return x * self.weight + self.bias
        if on("norm_one_pass"):
            mean = x.mean(-1, keepdim=True)
            variance = (x * x).mean(-1, keepdim=True) - mean * mean
            return (x - mean) / paddle.sqrt(variance + self.eps) * self.weight + self.bias
        if on("norm_affine_folded"):
            return F.layer_norm(x, x.shape[-1:], epsilon=self.eps) * self.weight + self.bias
        return super().forward(x)


def softmax(scores: Tensor, on: Asked) -> Tensor:
    """Softmax over the keys, ``[batch, heads, queries, keys]``."""
    if on("softmax_over_queries"):
        return F.softmax(scores, axis=-2)
    if on("softmax_by_exp"):
        powers = paddle.exp(scores - scores.max(-1, keepdim=True))
        return powers / powers.sum(-1, keepdim=True)
    if on("softmax_by_log"):
        return paddle.exp(scores - paddle.logsumexp(scores, axis=-1, keepdim=True))
    return F.softmax(scores, axis=-1)


def bfloat16_values(x: Tensor) -> Tensor:
    """Values rounded to bfloat16's eight bits, by arithmetic: a twin would undo a cast."""
    exponent = paddle.floor(paddle.log2(paddle.abs(x))) + 1
    step = paddle.pow(paddle.full_like(x, 2.0), exponent - 8)
    return paddle.round(x / step) * step
