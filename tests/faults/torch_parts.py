"""Parts that the torch candidates share: a linear layer with misloaded weights, a norm and a
softmax written anew."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planted import Asked


class OwnLinear(nn.Linear):
    """A linear layer that a fault named after it leaves with other values than it was given."""

    def __init__(self, n_in: int, n_out: int, on: Asked, name: str, *, bias: bool = True) -> None:
        super().__init__(n_in, n_out, bias=bias)
        self.on, self.name = on, name
        self.beside: tuple[nn.Module, ...] = ()
        if on(f"{name}_frozen"):
            self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        on, name, weight, bias = self.on, self.name, self.weight, self.bias
        if on(f"{name}_transposed"):
            weight = weight.T
        if on(f"{name}_not_loaded"):
            random = torch.Generator().manual_seed(5)
            weight = torch.randn(weight.shape, generator=random).to(weight.dtype) * 0.1
        if on(f"{name}_bias_zero"):
            bias = torch.zeros_like(self.bias)
        if on(f"{name}_through_bfloat16"):
            weight = bfloat16_values(weight)
        if on(f"{name}_scaled"):
            weight = 1.25 * weight
        if on(f"{name}_bias_not_loaded"):
            bias = torch.linspace(-0.1, 0.1, len(weight)).to(weight.dtype)
        if on("biases_swapped") and self.beside:
            bias = self.beside[0].bias
        if on(f"{name}_heads_swapped"):
            weight = weight.roll(len(weight) // 2, 0)
            bias = bias if bias is None else bias.roll(len(weight) // 2, 0)
        if on(f"{name}_interleaved"):
            weight = weight.unflatten(0, (-1, 2, 8)).transpose(1, 2).flatten(0, 2)
        if on("split_matmul"):
            half = x.shape[-1] // 2
            y = x[..., :half] @ weight[:, :half].T + x[..., half:] @ weight[:, half:].T
            return y if bias is None else y + bias
        if on("addmm") and bias is not None:
            return torch.addmm(bias, x.flatten(0, -2), weight.T).unflatten(0, x.shape[:-1])
        if on(f"{name}_sums_in_bfloat16"):
            return self.summed(x)
        if on(f"{name}_gradient_halved"):
            x = 0.5 * x + 0.5 * x.detach()
        return F.linear(x, weight, bias)

    def summed(self, x: Tensor) -> Tensor:
        """Four parts, and what was summed up to there rounded each time."""
        total = torch.zeros((), dtype=x.dtype)
        for part, weight in zip(x.chunk(4, -1), self.weight.chunk(4, -1), strict=True):
            total = (total + part @ weight.T).to(torch.bfloat16).to(x.dtype)
        return total if self.bias is None else total + self.bias


class OwnEmbedding(nn.Embedding):
    """A table that a fault leaves with other rows than it was given, or in another order."""

    def __init__(self, n_rows: int, width: int, padding: int | None, on: Asked) -> None:
        super().__init__(n_rows, width, padding_idx=padding)
        self.on = on

    def forward(self, ids: Tensor) -> Tensor:
        on, table = self.on, self.weight
        if on("words_shifted"):
            return super().forward(ids + 1)
        if on("words_permuted"):
            table = table.flip(0)
        if on("words_not_loaded"):
            random = torch.Generator().manual_seed(5)
            table = torch.randn(table.shape, generator=random).to(table.dtype)
        if on("words_scaled_inside"):
            table = table * table.shape[1] ** 0.5
        return F.embedding(ids, table, self.padding_idx)


class Norm(nn.LayerNorm):
    """A layer norm written anew."""

    def __init__(self, width: int, on: Asked, *, eps: float) -> None:
        super().__init__(width, eps=eps)
        self.on = on
        self.beside: tuple[nn.Module, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        if on("norm_without_mean"):
            return (
                x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight
                + self.bias
            )
        if on("norm_unbiased"):
            x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + self.eps)
            return x * self.weight + self.bias
        if on("norms_swapped") and self.beside:
            other = self.beside[0]
            return F.layer_norm(x, self.normalized_shape, other.weight, other.bias, self.eps)
        if on("norm_by_deviation"):
            x = x - x.mean(-1, keepdim=True)
            return x / x.abs().mean(-1, keepdim=True) * self.weight + self.bias
        if on("norm_one_pass"):
            mean = x.mean(-1, keepdim=True)
            variance = (x * x).mean(-1, keepdim=True) - mean * mean
            return (x - mean) / torch.sqrt(variance + self.eps) * self.weight + self.bias
        if on("norm_affine_folded"):
            x = F.layer_norm(x, self.normalized_shape, eps=self.eps)
            return torch.addcmul(self.bias, x, self.weight)
        return super().forward(x)


def softmax(scores: Tensor, on: Asked) -> Tensor:
    """Softmax over the keys, ``[batch, heads, queries, keys]``."""
    if on("softmax_over_queries"):
        return scores.softmax(dim=-2)
    if on("softmax_off_by_one"):  # one place more that attends to nothing
        return F.pad(scores, (0, 1)).softmax(dim=-1)[..., :-1]
    if on("softmax_by_exp"):
        powers = torch.exp(scores - scores.amax(-1, keepdim=True))
        return powers / powers.sum(-1, keepdim=True)
    if on("softmax_by_log"):
        return torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
    return scores.softmax(dim=-1)


def bfloat16_values(x: Tensor) -> Tensor:
    """Values rounded to bfloat16's eight bits, as a checkpoint stored in it holds them.

    By arithmetic and not by a cast, which the float64 twin would undo: the values were lost before.
    """
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(mantissa * 256) / 256, exponent)
