"""The decoder again in torch, GPT-2's names on LLaMA's mathematics, with every fault and rewrite
it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_parts import OwnLinear, softmax

from planted import Asked, Planted

WIDTH, HEADS, KV_HEADS, LAYERS, INNER = 64, 4, 2, 3, 96
VOCABULARY, EPS, BASE, CAP = 48, 1e-6, 10000.0, 30.0
HEAD_WIDTH = WIDTH // HEADS
# Times the usual slopes: as in the paper, as BLOOM writes it, none, the other sign, steeper.
ALIBI = {"alibi": 1.0, "alibi_by_key": 1.0, "alibi_missing": 0, "alibi_sign": -1, "alibi_steep": 2}
Rotation = tuple[Tensor, Tensor]


def build(settings: Mapping[str, object]) -> nn.Module:
    model = Decoder(Planted(settings))
    return model.to(getattr(torch, str(settings.get("dtype", "float32")))).eval()


class Decoder(nn.Module):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        self.wte = nn.Embedding(VOCABULARY, WIDTH)
        self.h = nn.ModuleList(Block(planted.at(layer)) for layer in range(LAYERS))
        self.ln_f = Norm(planted.at(-1))
        for block in self.h:
            block.attn.factor = next((ALIBI[name] for name in ALIBI if self.on(name)), None)
            block.attn.is_by_key = self.on("alibi_by_key")

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        on = self.on
        x = self.wte(input_ids)
        if not on("no_embedding_scale"):
            x = x * WIDTH**0.5
        time = input_ids.shape[1]
        rotation = self.rotation(time, x.dtype)
        diagonal = 2 if on("causal_off_by_one") else 1
        hidden = torch.ones(time, time, dtype=torch.bool).triu(diagonal)
        if on("causal_missing"):
            hidden = torch.zeros_like(hidden)
        for layer, block in enumerate(self.h):
            if on("layer_skipped") and layer == 1:
                continue
            if on("layer_repeated") and layer == 1:
                x = block(x, rotation, hidden)
            x = block(x, rotation, hidden)
        x = x if on("no_final_norm") else self.ln_f(x)
        return {"logits": self.cap(self.head(x))}

    def rotation(self, time: int, dtype: torch.dtype) -> Rotation:
        on = self.on
        base = 500000.0 if on("rotary_base") else BASE
        low = torch.bfloat16 if on("rotary_bfloat16_table") else torch.float32
        powers = torch.arange(0, HEAD_WIDTH, 2, dtype=torch.float32) / HEAD_WIDTH
        positions = torch.arange(time, dtype=torch.float32)
        if on("rotary_from_one"):
            positions = positions + 1
        angles = torch.outer(positions.to(low), (1.0 / base**powers).to(low)).float()
        return angles.cos().to(dtype), angles.sin().to(dtype)  # [time, half a head]

    def head(self, x: Tensor) -> Tensor:
        on, weight = self.on, self.wte.weight
        if on("head_tied_by_copy"):
            weight = weight.detach().clone()
        if on("head_not_tied"):
            random = torch.Generator().manual_seed(5)
            weight = torch.randn(weight.shape, generator=random).to(weight.dtype) / 8
        if on("head_shifted"):
            weight = weight.roll(1, 0)
        if on("head_in_chunks"):
            return torch.cat([F.linear(part, weight) for part in x.split(5, dim=1)], dim=1)
        return F.linear(x, weight)

    def cap(self, logits: Tensor) -> Tensor:
        if self.on("no_soft_cap"):
            return logits
        if self.on("soft_cap_by_expm1"):
            grown = torch.expm1(2 * logits / CAP)
            return CAP * grown / (grown + 2)
        return torch.tanh(logits / CAP) * CAP


class Norm(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        eps = 1e-3 if on("norm_eps") else EPS
        if on("layer_norm_for_rms"):
            return F.layer_norm(x, (WIDTH,), self.weight, None, eps)
        if on("norm_by_greatest"):
            return x / x.abs().amax(-1, keepdim=True) * self.weight
        if on("rms_by_kernel"):
            return F.rms_norm(x, (WIDTH,), self.weight, eps)
        if on("rms_by_division"):
            return x / torch.sqrt((x * x).sum(-1, keepdim=True) / WIDTH + eps) * self.weight
        weight = 1 + self.weight if on("norm_plus_one") else self.weight
        if on("norm_not_loaded"):
            weight = torch.linspace(0.5, 1.5, WIDTH).to(x.dtype)
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        return wide.to(x.dtype) * weight


class Block(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.ln_1 = Norm(on)
        self.attn = Attention(on)
        self.ln_2 = Norm(lambda name: False)
        self.mlp = (FusedMlp if on("fused_gate_up") else Mlp)(on)

    def forward(self, x: Tensor, rotation: Rotation, hidden: Tensor) -> Tensor:
        on = self.on
        attended = self.attn(self.ln_1(x), rotation, hidden)
        if on("parallel_residual"):
            return x + attended + self.mlp(self.ln_2(x))
        if on("residual_gated"):
            attended = torch.sigmoid(x) * attended
        x = (x.detach() if on("residual_detached") else x) + attended
        if on("residual_from_norm"):
            x = self.ln_2(x)
            return x + self.mlp(x)
        inner = self.mlp(self.ln_2(x))
        return inner + x if on("residual_swapped") else x + inner


class Attention(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        kv_width = KV_HEADS * HEAD_WIDTH
        self.q = OwnLinear(WIDTH, WIDTH, on, "query", bias=False)
        self.k = OwnLinear(WIDTH, kv_width, on, "key", bias=False)
        self.v = OwnLinear(WIDTH, kv_width, on, "value", bias=False)
        self.out_proj = OwnLinear(WIDTH, WIDTH, on, "out", bias=False)

    def forward(self, x: Tensor, rotation: Rotation, hidden: Tensor) -> Tensor:
        on = self.on
        q, k, v = (_heads(part(x)) for part in (self.q, self.k, self.v))
        if on("key_value_swapped"):
            k, v = v, k
        if on("key_value_detached"):
            k, v = k.detach(), v.detach()
        if not on("rotary_missing") and self.factor is None:
            late = tuple(part.roll(-1, 0) for part in rotation)
            q = _rotate(q, rotation, on)
            k = _rotate(k, late if on("rotary_key_late") else rotation, on)
        k, v = (self.repeated(part) for part in (k, v))
        return self.out_proj(self.core(q, k, v, hidden).transpose(1, 2).flatten(2))

    def repeated(self, x: Tensor) -> Tensor:
        if self.on("heads_tiled"):
            return x.repeat(1, HEADS // KV_HEADS, 1, 1)
        if self.on("heads_expanded"):
            return x[:, :, None].expand(-1, -1, HEADS // KV_HEADS, -1, -1).flatten(1, 2)
        return x.repeat_interleave(HEADS // KV_HEADS, dim=1)

    def core(self, q: Tensor, k: Tensor, v: Tensor, hidden: Tensor) -> Tensor:
        on = self.on
        if on("sdpa"):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = q @ k.mT * (1.0 if on("no_scale") else HEAD_WIDTH**-0.5)
        scores = self.sloped(scores)
        if on("masked_after_softmax"):
            return softmax(scores, on).masked_fill(hidden, 0.0) @ v
        if on("scores_in_bfloat16"):
            scores = scores.to(torch.bfloat16).to(v.dtype)
        lowest = -1e4 if on("mask_minus_1e4") else -torch.inf
        return softmax(scores.masked_fill(hidden, lowest), on) @ v

    def sloped(self, scores: Tensor) -> Tensor:
        """Lowered with the distance of the key."""
        if self.factor is None:
            return scores
        places = torch.arange(scores.shape[-1], dtype=scores.dtype)
        far = -places if self.is_by_key else (places - places[:, None]).abs()
        slopes = self.factor * 2.0 ** -torch.arange(2.0, 2.0 * HEADS + 1, 2.0, dtype=scores.dtype)
        return scores - slopes.view(-1, 1, 1) * far


class Mlp(nn.Module):
    def __init__(self, on: Asked) -> None:
        super().__init__()
        self.on = on
        self.gate = OwnLinear(WIDTH, INNER, on, "gate", bias=False)
        self.up = OwnLinear(WIDTH, INNER, on, "up", bias=False)
        self.down = OwnLinear(INNER, WIDTH, on, "down", bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(gated(self.gate(x), self.up(x), self.on))


class FusedMlp(Mlp):
    """Gate and up side by side in one multiplication; two parameters still."""

    def forward(self, x: Tensor) -> Tensor:
        both = F.linear(x, torch.cat([self.gate.weight, self.up.weight]))
        gate, up = both.chunk(2, dim=-1)
        return self.down(gated(gate, up, self.on))


def gated(gate: Tensor, up: Tensor, on: Asked) -> Tensor:
    if on("gate_up_swapped"):
        gate, up = up, gate
    if on("up_squared"):
        return F.silu(gate) * up * up
    if on("gelu_for_silu"):
        return F.gelu(gate) * up
    if on("sigmoid_for_silu"):
        return torch.sigmoid(gate) * up
    if on("silu_by_sigmoid"):
        return gate * torch.sigmoid(gate) * up
    if on("gate_detached"):
        return F.silu(gate).detach() * up
    return F.silu(gate) * up


def _heads(x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], -1, HEAD_WIDTH).transpose(1, 2)


def _rotate(x: Tensor, rotation: Rotation, on: Asked) -> Tensor:
    cos, sin = rotation
    if on("rotary_sign"):
        sin = -sin
    if on("rotary_interleaved"):
        first, second = x[..., 0::2], x[..., 1::2]
        turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return turned.flatten(-2)
    first, second = x.chunk(2, dim=-1)
    if on("rotary_half_width"):
        n = first.shape[-1] // 2
        cos = torch.cat([cos[:, :n], torch.ones_like(cos[:, n:])], dim=-1)
        sin = torch.cat([sin[:, :n], torch.zeros_like(sin[:, n:])], dim=-1)
    if on("rotary_complex"):
        # there are no complex numbers of bfloat16 parts
        first, second, cos, sin = (part.float() for part in (first, second, cos, sin))
        turned = torch.complex(first, second) * torch.complex(cos, sin)
        return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
