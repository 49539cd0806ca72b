"""The decoder ported to Paddle, with every fault and rewrite it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle_parts import OwnLinear, softmax

from planted import Asked, Planted

WIDTH, HEADS, KV_HEADS, LAYERS, INNER = 64, 4, 2, 3, 96
VOCABULARY, EPS, BASE, CAP = 48, 1e-6, 10000.0, 30.0
HEAD_WIDTH = WIDTH // HEADS
# Times the usual slopes: as in the paper, as BLOOM writes it, none, the other sign, steeper.
ALIBI = {"alibi": 1.0, "alibi_by_key": 1.0, "alibi_missing": 0, "alibi_sign": -1, "alibi_steep": 2}
Rotation = tuple[Tensor, Tensor]


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = LlamaForCausalLM(Planted(settings))
    model.eval()
    return model


class LlamaForCausalLM(nn.Layer):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.LayerList([DecoderLayer(planted.at(layer)) for layer in range(LAYERS)])
        self.norm = RMSNorm(planted.at(-1))
        for block in self.layers:
            block.self_attn.factor = next((ALIBI[name] for name in ALIBI if self.on(name)), None)
            block.self_attn.is_by_key = self.on("alibi_by_key")

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        on = self.on
        x = self.embed_tokens(input_ids)
        if not on("no_embedding_scale"):
            x = x * WIDTH**0.5
        time = input_ids.shape[1]
        rotation = self.rotation(time, x.dtype)
        diagonal = 2 if on("causal_off_by_one") else 1
        hidden = paddle.triu(paddle.ones([time, time]), diagonal).astype("bool")
        if on("causal_missing"):
            hidden = paddle.zeros_like(hidden)
        for at, layer in enumerate(self.layers):
            if on("layer_skipped") and at == 1:
                continue
            if on("layer_repeated") and at == 1:
                x = layer(x, rotation, hidden)
            x = layer(x, rotation, hidden)
        x = x if on("no_final_norm") else self.norm(x)
        return {"logits": self.cap(self.head(x))}

    def rotation(self, time: int, dtype: paddle.dtype) -> Rotation:
        on = self.on
        base = 500000.0 if on("rotary_base") else BASE
        low = "bfloat16" if on("rotary_bfloat16_table") else "float32"
        powers = paddle.arange(0, HEAD_WIDTH, 2, dtype="float32") / HEAD_WIDTH
        frequencies = (1.0 / base**powers).astype(low).astype("float32")
        positions = paddle.arange(time, dtype="float32")
        if on("rotary_from_one"):
            positions = positions + 1
        angles = paddle.outer(positions, frequencies).astype(low).astype("float32")
        return angles.cos().astype(dtype), angles.sin().astype(dtype)  # [time, half a head]

    def head(self, x: Tensor) -> Tensor:
        on, weight = self.on, self.embed_tokens.weight
        if on("head_tied_by_copy"):
            weight = weight.detach()
        if on("head_not_tied"):
            values = paddle.cos(paddle.arange(weight.size, dtype=weight.dtype))
            weight = values.reshape(weight.shape) / 8
        if on("head_shifted"):
            weight = weight.roll(1, 0)
        if on("head_in_chunks"):
            parts = x.split([5, 7], axis=1)
            return paddle.concat(
                [paddle.matmul(p, weight, transpose_y=True) for p in parts], axis=1
            )
        return paddle.matmul(x, weight, transpose_y=True)

    def cap(self, logits: Tensor) -> Tensor:
        if self.on("no_soft_cap"):
            return logits
        if self.on("soft_cap_by_expm1"):
            grown = paddle.expm1(2 * logits / CAP)
            return CAP * grown / (grown + 2)
        return paddle.tanh(logits / CAP) * CAP


class RMSNorm(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.weight = self.create_parameter([WIDTH], default_initializer=nn.initializer.Constant(1))

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        eps = 1e-3 if on("norm_eps") else EPS
        if on("layer_norm_for_rms"):
            return F.layer_norm(x, [WIDTH], self.weight, None, eps)
        if on("rms_by_division"):
            return x / paddle.sqrt((x * x).sum(-1, keepdim=True) / WIDTH + eps) * self.weight
        weight = 1 + self.weight if on("norm_plus_one") else self.weight
        if on("norm_not_loaded"):
            weight = paddle.linspace(0.5, 1.5, WIDTH).astype(x.dtype)
        wide = x.astype("float32")
        wide = wide * paddle.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        return wide.astype(x.dtype) * weight


class DecoderLayer(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.input_layernorm = RMSNorm(on)
        self.self_attn = Attention(on)
        self.post_attention_layernorm = RMSNorm(lambda name: False)
        self.mlp = (FusedMlp if on("fused_gate_up") else Mlp)(on)

    def forward(self, x: Tensor, rotation: Rotation, hidden: Tensor) -> Tensor:
        on = self.on
        attended = self.self_attn(self.input_layernorm(x), rotation, hidden)
        if on("parallel_residual"):
            return x + attended + self.mlp(self.post_attention_layernorm(x))
        x = (x.detach() if on("residual_detached") else x) + attended
        if on("residual_from_norm"):
            x = self.post_attention_layernorm(x)
            return x + self.mlp(x)
        inner = self.mlp(self.post_attention_layernorm(x))
        return inner + x if on("residual_swapped") else x + inner


class Attention(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        kv_width = KV_HEADS * HEAD_WIDTH
        self.q_proj = OwnLinear(WIDTH, WIDTH, on, "query", bias=False)
        self.k_proj = OwnLinear(WIDTH, kv_width, on, "key", bias=False)
        self.v_proj = OwnLinear(WIDTH, kv_width, on, "value", bias=False)
        self.o_proj = OwnLinear(WIDTH, WIDTH, on, "out", bias=False)

    def forward(self, x: Tensor, rotation: Rotation, hidden: Tensor) -> Tensor:
        on = self.on
        q, k, v = (self.heads(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
        if on("key_value_swapped"):
            k, v = v, k
        if on("key_value_detached"):
            k, v = k.detach(), v.detach()
        if not on("rotary_missing") and self.factor is None:
            late = tuple(part.roll(-1, 0) for part in rotation)
            q = _rotate(q, rotation, on)
            k = _rotate(k, late if on("rotary_key_late") else rotation, on)
        context = self.core(q, self.repeated(k), self.repeated(v), hidden)
        return self.o_proj(context.transpose([0, 2, 1, 3]).flatten(2))

    @staticmethod
    def heads(x: Tensor) -> Tensor:
        return x.reshape([x.shape[0], x.shape[1], -1, HEAD_WIDTH]).transpose([0, 2, 1, 3])

    def repeated(self, x: Tensor) -> Tensor:
        times = HEADS // KV_HEADS
        if self.on("heads_tiled"):
            return x.tile([1, times, 1, 1])
        if self.on("heads_expanded"):
            return x.unsqueeze(2).expand([-1, -1, times, -1, -1]).flatten(1, 2)
        return x.repeat_interleave(times, axis=1)

    def core(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor) -> Tensor:
        on = self.on
        if on("sdpa"):
            flat = [part.transpose([0, 2, 1, 3]) for part in (q, k, v)]
            out = F.scaled_dot_product_attention(*flat, is_causal=True, training=False)
            return out.transpose([0, 2, 1, 3])
        scale = 1.0 if on("no_scale") else HEAD_WIDTH**-0.5
        scores = paddle.matmul(q, k, transpose_y=True) * scale
        scores = self.sloped(scores)
        if on("masked_after_softmax"):
            weights = softmax(scores, on)
            return paddle.where(hidden, paddle.zeros_like(weights), weights) @ v
        if on("scores_in_bfloat16"):
            scores = scores.astype("bfloat16").astype(v.dtype)
        lowest = -1e4 if on("mask_minus_1e4") else -float("inf")
        return softmax(paddle.where(hidden, paddle.full_like(scores, lowest), scores), on) @ v

    def sloped(self, scores: Tensor) -> Tensor:
        """Lowered with the distance of the key."""
        if self.factor is None:
            return scores
        places = paddle.arange(scores.shape[-1]).astype(scores.dtype)
        far = -places if self.is_by_key else (places - places.unsqueeze(1)).abs()
        slopes = [self.factor * 2.0 ** (-2 * (head + 1)) for head in range(HEADS)]
        return scores - paddle.to_tensor(slopes, dtype=scores.dtype).reshape([-1, 1, 1]) * far


class Mlp(nn.Layer):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.gate_proj = OwnLinear(WIDTH, INNER, on, "gate", bias=False)
        self.up_proj = OwnLinear(WIDTH, INNER, on, "up", bias=False)
        self.down_proj = OwnLinear(INNER, WIDTH, on, "down", bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(gated(self.gate_proj(x), self.up_proj(x), self.on))


class FusedMlp(Mlp):
    """Gate and up side by side in one multiplication; two parameters still."""

    def forward(self, x: Tensor) -> Tensor:
        weight = paddle.concat([self.gate_proj.weight, self.up_proj.weight], axis=-1)
        gate, up = (x @ weight).chunk(2, axis=-1)
        return self.down_proj(gated(gate, up, self.on))


def gated(gate: Tensor, up: Tensor, on: Asked) -> Tensor:
    if on("gate_up_swapped"):
        gate, up = up, gate
    if on("gelu_for_silu"):
        return F.gelu(gate) * up
    if on("sigmoid_for_silu"):
        return F.sigmoid(gate) * up
    if on("silu_by_sigmoid"):
        return gate * F.sigmoid(gate) * up
    if on("gate_detached"):
        return F.silu(gate).detach() * up
    return F.silu(gate) * up


def _rotate(x: Tensor, rotation: Rotation, on: Asked) -> Tensor:
    cos, sin = rotation
    if on("rotary_sign"):
        sin = -sin
    if on("rotary_interleaved"):
        first, second = x[..., 0::2], x[..., 1::2]
        turned = [first * cos - second * sin, second * cos + first * sin]
        return paddle.stack(turned, axis=-1).flatten(-2)
    first, second = x.chunk(2, axis=-1)
    if on("rotary_half_width"):
        n = first.shape[-1] // 2
        cos = paddle.concat([cos[:, :n], paddle.ones_like(cos[:, n:])], axis=-1)
        sin = paddle.concat([sin[:, :n], paddle.zeros_like(sin[:, n:])], axis=-1)
    if on("rotary_complex"):
        turned = paddle.complex(first, second) * paddle.complex(cos, sin)
        return paddle.concat([turned.real(), turned.imag()], axis=-1)
    return paddle.concat([first * cos - second * sin, second * cos + first * sin], axis=-1)
