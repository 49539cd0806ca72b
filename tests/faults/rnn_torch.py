"""The recurrent classifier again in torch, with every fault and rewrite it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_parts import OwnLinear, bfloat16_values

from planted import Asked, Planted

VOCABULARY, EMBEDDED, HIDDEN, CLASSES = 40, 24, 16, 4
LSTM_FAULTS = [
    "gate_order",
    "forget_bias",
    "hard_gates",
    "no_cell_tanh",
    "hidden_bias_dropped",
    "hidden_transposed",
    "hidden_through_bfloat16",
    "directions_swapped",
    "backward_not_reversed",
    "truncated_backward",
    "lstm_unrolled",
    "peephole",
    "cell_clipped",
]
GRU_FAULTS = ["zoneout", "reset_before_matmul", "update_inverted", "state_detached", "gru_unrolled"]


def build(settings: Mapping[str, object]) -> nn.Module:
    model = Tagger(Planted(settings))
    return model.to(getattr(torch, str(settings.get("dtype", "float32")))).eval()


class Tagger(nn.Module):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        on = self.on = planted.at()
        self.word_embeddings = nn.Embedding(VOCABULARY, EMBEDDED)
        self.bilstm = OwnLSTM(on)
        self.gru = OwnGRU(on)
        self.linear1 = OwnLinear(2 * HIDDEN, HIDDEN, on, "first")
        self.linear2 = OwnLinear(HIDDEN, CLASSES, on, "last")

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        on = self.on
        states, (last, _) = self.bilstm(self.embed(input_ids))
        if on("directions_concat_swapped"):
            states = torch.cat(states.chunk(2, -1)[::-1], dim=-1)
        start = last.sum(0, keepdim=True)
        if on("forward_state_only"):
            start = last[:1]
        start = torch.zeros_like(start) if on("state_not_passed") else start
        states, _ = self.gru(states, start.detach() if on("start_detached") else start)
        features = torch.cat(self.features(states, attention_mask), dim=-1)
        return {"logits": self.linear2(F.relu(self.linear1(features)))}

    def embed(self, ids: Tensor) -> Tensor:
        if self.on("embedding_by_one_hot"):
            weight = self.word_embeddings.weight
            return F.one_hot(ids, VOCABULARY).to(weight.dtype) @ weight
        x = self.word_embeddings(ids)
        return x * (ids != 0)[..., None] if self.on("padding_row_zero") else x

    def features(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        on = self.on
        weights = mask.to(states.dtype)
        if on("median_pooled"):
            mean = states.median(1).values
        elif on("mean_counts_padding"):
            mean = states.mean(1)
        elif on("mean_by_matmul"):
            mean = (weights[:, None] @ states)[:, 0] / weights.sum(1, keepdim=True)
        else:
            mean = (states * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        at = (mask.sum(1) - 1)[:, None, None].expand(-1, 1, states.shape[2])
        if on("last_step_padded"):
            at = torch.full_like(at, states.shape[1] - 1)
        last = states.gather(1, at)[:, 0]
        return (last, mean) if on("features_swapped") else (mean, last)


class OwnLSTM(nn.LSTM):
    """torch's LSTM, or its recurrence step by step where a fault sits in it."""

    def __init__(self, on: Asked) -> None:
        super().__init__(EMBEDDED, HIDDEN, batch_first=True, bidirectional=True)
        self.on = on

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        on = self.on
        if not any(map(on, LSTM_FAULTS)):
            return super().forward(x)
        names = ["_l0", "_l0_reverse"]
        if on("directions_swapped"):
            names.reverse()
        forward, *ends = self.run(x, names[0])
        if on("backward_not_reversed"):
            backward, *back_ends = self.run(x, names[1])
        else:
            backward, *back_ends = self.run(x.flip(1), names[1])
            backward = backward.flip(1)
        h, c = (torch.stack(pair) for pair in zip(ends, back_ends, strict=True))
        return torch.cat([forward, backward], dim=-1), (h, c)

    def run(self, x: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
        on = self.on
        w_x, w_h, b_x, b_h = (
            getattr(self, part + name) for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if on("hidden_transposed"):
            w_h = torch.cat([part.T for part in w_h.chunk(4)])
        if on("hidden_through_bfloat16"):
            w_h = bfloat16_values(w_h)
        b_h = torch.zeros_like(b_h) if on("hidden_bias_dropped") else b_h
        h = c = x.new_zeros(len(x), HIDDEN)
        states = []
        for step in x.unbind(1):
            h = h.detach() if on("truncated_backward") else h
            gates = (F.linear(step, w_x, b_x) + F.linear(h, w_h, b_h)).chunk(4, dim=-1)
            h, c = self.step(gates, c)
            states.append(h)
        return torch.stack(states, dim=1), h, c

    def step(self, gates: tuple[Tensor, ...], c: Tensor) -> tuple[Tensor, Tensor]:
        on = self.on
        gate = F.hardsigmoid if on("hard_gates") else torch.sigmoid
        i, f, g, o = gates
        if on("gate_order"):
            i, f, o, g = gates
        f = f + 1 if on("forget_bias") else f
        if on("peephole"):
            i, f = i + 0.1 * c, f + 0.1 * c
        c = gate(f) * c + gate(i) * torch.tanh(g)
        c = c.clamp(-0.5, 0.5) if on("cell_clipped") else c
        return gate(o) * (c if on("no_cell_tanh") else torch.tanh(c)), c


class OwnGRU(nn.GRU):
    """torch's GRU, or its recurrence step by step where a fault sits in it."""

    def __init__(self, on: Asked) -> None:
        super().__init__(2 * HIDDEN, HIDDEN, batch_first=True)
        self.on = on

    def forward(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        on = self.on
        if not any(map(on, GRU_FAULTS)):
            return super().forward(x, start)
        h, states = start[0], []
        w_n, b_n = self.weight_hh_l0[2 * HIDDEN :], self.bias_hh_l0[2 * HIDDEN :]
        for step in x.unbind(1):
            h = h.detach() if on("state_detached") and states else h
            before = h
            r, z, n = F.linear(step, self.weight_ih_l0, self.bias_ih_l0).chunk(3, -1)
            r_h, z_h, n_h = F.linear(h, self.weight_hh_l0, self.bias_hh_l0).chunk(3, -1)
            r, z = torch.sigmoid(r + r_h), torch.sigmoid(z + z_h)
            inner = F.linear(r * h, w_n, b_n) if on("reset_before_matmul") else r * n_h
            n = torch.tanh(n + inner)
            h = z * n + (1 - z) * h if on("update_inverted") else (1 - z) * n + z * h
            h = 0.9 * h + 0.1 * before if on("zoneout") else h
            states.append(h)
        return torch.stack(states, dim=1), h[None]
