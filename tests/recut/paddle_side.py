"""The encoder cut otherwise: `settings.form` says how, `settings.mistake` what is wrong in layer 1.

fused, grouped: q, k and v in one projection, gate and up in one. by_head: the same, head by head.
kv: only key and value in one. stacked: one block with a slice for every layer. shared: one block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

WIDTH, HEADS, KV_WIDTH, INNER, N_LAYERS = 16, 4, 8, 24, 3
HEAD_WIDTH = WIDTH // HEADS
Linear = Callable[[int, int], nn.Layer]


class Block(nn.Layer):
    """What all forms have in common: they differ in how projections are held."""

    def __init__(self, mistake: str, linear: Linear, norm: Callable[[], nn.Layer]) -> None:
        super().__init__()
        self.mistake = mistake
        self.norm1, self.norm2 = norm(), norm()
        self.o = linear(WIDTH, WIDTH)
        self.down = linear(INNER, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        heads = [self.heads(part) for part in self.attended(self.norm1(x))]
        x = x + self.o(self.core(*heads).transpose([0, 2, 1, 3]).flatten(2))
        gate, up = self.gated(self.norm2(x))
        return x + self.down((F.gelu if self.mistake == "gelu" else F.silu)(gate) * up)

    @staticmethod
    def heads(x: Tensor) -> Tensor:
        return x.reshape([*x.shape[:2], -1, HEAD_WIDTH]).transpose([0, 2, 1, 3])

    def core(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (part.repeat_interleave(HEADS // k.shape[1], axis=1) for part in (k, v))
        if self.mistake == "value":
            v = v * 1.1
        scores = paddle.matmul(q, k, transpose_y=True) / HEAD_WIDTH**0.5
        return F.softmax(scores, axis=-1) @ v


class Apart(Block):
    def __init__(self, mistake: str, linear: Linear, norm: Callable[[], nn.Layer]) -> None:
        super().__init__(mistake, linear, norm)
        self.q, self.k, self.v = (linear(WIDTH, WIDTH) for _ in range(3))
        self.gate, self.up = linear(WIDTH, INNER), linear(WIDTH, INNER)

    def attended(self, y: Tensor) -> tuple[Tensor, ...]:
        return self.q(y), self.k(y), self.v(y)

    def gated(self, y: Tensor) -> tuple[Tensor, ...]:
        return self.gate(y), self.up(y)


class Fused(Block):
    def __init__(self, mistake: str, form: str) -> None:
        super().__init__(mistake, nn.Linear, lambda: nn.LayerNorm(WIDTH))
        self.form = form
        self.kv_width = KV_WIDTH if form == "grouped" else WIDTH
        self.gate_up = nn.Linear(WIDTH, 2 * INNER)
        if form == "kv":
            self.q = nn.Linear(WIDTH, WIDTH)
            self.kv = nn.Linear(WIDTH, 2 * WIDTH)
        else:
            kind = Blind if mistake == "bias" else nn.Linear
            self.qkv = kind(WIDTH, WIDTH + 2 * self.kv_width)

    def attended(self, y: Tensor) -> tuple[Tensor, ...]:
        if self.form == "kv":
            return self.q(y), *self.kv(y).chunk(2, axis=-1)
        packed = self.qkv(y)
        if self.form != "by_head":
            return tuple(packed.split([WIDTH, self.kv_width, self.kv_width], axis=-1))
        by_head = packed.reshape([*y.shape[:2], HEADS, 3, HEAD_WIDTH])
        return tuple(by_head[:, :, :, at].flatten(2) for at in range(3))

    def gated(self, y: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.gate_up(y).chunk(2, axis=-1))


class Blind(nn.Linear):
    """The bias of the queries is left out."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.bias.split(3)
        return x @ self.weight + paddle.concat([paddle.zeros_like(q), k, v])


class Stack(nn.Layer):
    """A slice of weight and bias for every call, one after the other."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([N_LAYERS, n_in, n_out])
        self.bias = self.create_parameter([N_LAYERS, n_out], is_bias=True)
        self.at = 0

    def forward(self, x: Tensor) -> Tensor:
        at, self.at = self.at, (self.at + 1) % N_LAYERS
        return self.apply_slice(x, self.weight[at], self.bias[at])

    @staticmethod
    def apply_slice(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return x @ weight + bias


class NormStack(Stack):
    def __init__(self) -> None:
        nn.Layer.__init__(self)
        self.weight = self.create_parameter([N_LAYERS, WIDTH])
        self.bias = self.create_parameter([N_LAYERS, WIDTH], is_bias=True)
        self.at = 0

    @staticmethod
    def apply_slice(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, [WIDTH], weight, bias, 1e-5)


class Tired(Stack):
    """The second slice without its bias."""

    def forward(self, x: Tensor) -> Tensor:
        is_second = self.at == 1
        y = super().forward(x)
        return y - self.bias[1] if is_second else y


class Encoder(nn.Layer):
    def __init__(self, form: str, mistake: str) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        self.form = form
        if form == "stacked":
            self.block = Apart(mistake, Stack, NormStack)
            if mistake == "slice":
                self.block.up = Tired(WIDTH, INNER)
        elif form == "shared":
            self.block = Apart(mistake, nn.Linear, lambda: nn.LayerNorm(WIDTH))
        else:
            mistakes = ["none", mistake, "none"]
            self.layers = nn.LayerList([Fused(each, form) for each in mistakes])
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.embed(x)
        is_looped = self.form in ("stacked", "shared")
        for layer in [self.block] * N_LAYERS if is_looped else self.layers:
            x = layer(x)
        return {"logits": self.head(x.mean(1))}


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = Encoder(str(settings["form"]), str(settings["mistake"]))
    model.eval()
    return model
