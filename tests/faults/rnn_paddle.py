"""The recurrent classifier ported to Paddle, with every fault and rewrite it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle_parts import OwnLinear, bfloat16_values

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
]
GRU_FAULTS = ["reset_before_matmul", "update_inverted", "state_detached", "gru_unrolled"]


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = Classifier(Planted(settings))
    model.eval()
    return model


class Classifier(nn.Layer):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        on = self.on = planted.at()
        self.embedder = nn.Embedding(VOCABULARY, EMBEDDED)
        self.lstm = OwnLSTM(on)
        self.gru = OwnGRU(on)
        self.fc1 = OwnLinear(2 * HIDDEN, HIDDEN, on, "first")
        self.relu = nn.ReLU()
        self.fc2 = OwnLinear(HIDDEN, CLASSES, on, "last")

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        on = self.on
        states, (last, _) = self.lstm(self.embed(input_ids))
        if on("directions_concat_swapped"):
            states = paddle.concat(states.chunk(2, -1)[::-1], axis=-1)
        start = last.sum(0, keepdim=True)
        if on("forward_state_only"):
            start = last[:1]
        start = paddle.zeros_like(start) if on("state_not_passed") else start
        states, _ = self.gru(states, start.detach() if on("start_detached") else start)
        features = paddle.concat(self.features(states, attention_mask), axis=-1)
        return {"logits": self.fc2(self.relu(self.fc1(features)))}

    def embed(self, ids: Tensor) -> Tensor:
        if self.on("embedding_by_one_hot"):
            weight = self.embedder.weight
            return F.one_hot(ids, VOCABULARY).astype(weight.dtype) @ weight
        x = self.embedder(ids)
        if self.on("padding_row_zero"):
            x = x * (ids != 0).astype(x.dtype).unsqueeze(-1)
        return x

    def features(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        on = self.on
        weights = mask.astype(states.dtype)
        if on("mean_counts_padding"):
            mean = states.mean(1)
        elif on("mean_by_matmul"):
            mean = (weights.unsqueeze(1) @ states).squeeze(1) / weights.sum(1, keepdim=True)
        else:
            mean = (states * weights.unsqueeze(-1)).sum(1) / weights.sum(1, keepdim=True)
        at = mask.sum(1) - 1
        if on("last_step_padded"):
            at = paddle.full_like(at, states.shape[1] - 1)
        last = paddle.gather_nd(states, paddle.stack([paddle.arange(len(at)), at], axis=1))
        return (last, mean) if on("features_swapped") else (mean, last)


class OwnLSTM(nn.LSTM):
    """Paddle's LSTM, or its recurrence step by step where a fault sits in it."""

    def __init__(self, on: Asked) -> None:
        super().__init__(EMBEDDED, HIDDEN, direction="bidirect")
        self.on = on

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        on = self.on
        if not any(map(on, LSTM_FAULTS)):
            return super().forward(x)
        cells = [self[0].cell_fw, self[0].cell_bw]
        if on("directions_swapped"):
            cells.reverse()
        forward, *ends = self.run(x, cells[0])
        if on("backward_not_reversed"):
            backward, *back_ends = self.run(x, cells[1])
        else:
            backward, *back_ends = self.run(x.flip(1), cells[1])
            backward = backward.flip(1)
        h, c = (paddle.stack(pair) for pair in zip(ends, back_ends, strict=True))
        return paddle.concat([forward, backward], axis=-1), (h, c)

    def run(self, x: Tensor, cell: nn.LSTMCell) -> tuple[Tensor, Tensor, Tensor]:
        on = self.on
        w_h, b_h = cell.weight_hh, cell.bias_hh
        if on("hidden_transposed"):
            w_h = paddle.concat([part.t() for part in w_h.chunk(4)])
        if on("hidden_through_bfloat16"):
            w_h = bfloat16_values(w_h)
        b_h = paddle.zeros_like(b_h) if on("hidden_bias_dropped") else b_h
        h = c = paddle.zeros([x.shape[0], HIDDEN], dtype=x.dtype)
        states = []
        for step in x.unbind(1):
            h = h.detach() if on("truncated_backward") else h
            gates = step @ cell.weight_ih.t() + cell.bias_ih + h @ w_h.t() + b_h
            h, c = self.step(gates.chunk(4, axis=-1), c)
            states.append(h)
        return paddle.stack(states, axis=1), h, c

    def step(self, gates: list[Tensor], c: Tensor) -> tuple[Tensor, Tensor]:
        on = self.on
        gate = F.hardsigmoid if on("hard_gates") else F.sigmoid
        i, f, g, o = gates
        if on("gate_order"):
            i, f, o, g = gates
        f = f + 1 if on("forget_bias") else f
        c = gate(f) * c + gate(i) * paddle.tanh(g)
        return gate(o) * (c if on("no_cell_tanh") else paddle.tanh(c)), c


class OwnGRU(nn.GRU):
    """Paddle's GRU, or its recurrence step by step where a fault sits in it."""

    def __init__(self, on: Asked) -> None:
        super().__init__(2 * HIDDEN, HIDDEN)
        self.on = on

    def forward(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        on = self.on
        if not any(map(on, GRU_FAULTS)):
            return super().forward(x, start)
        cell = self[0].cell
        h, states = start[0], []
        w_n, b_n = cell.weight_hh[2 * HIDDEN :], cell.bias_hh[2 * HIDDEN :]
        for step in x.unbind(1):
            h = h.detach() if on("state_detached") and states else h
            r, z, n = (step @ cell.weight_ih.t() + cell.bias_ih).chunk(3, axis=-1)
            r_h, z_h, n_h = (h @ cell.weight_hh.t() + cell.bias_hh).chunk(3, axis=-1)
            r, z = F.sigmoid(r + r_h), F.sigmoid(z + z_h)
            inner = (r * h) @ w_n.t() + b_n if on("reset_before_matmul") else r * n_h
            n = paddle.tanh(n + inner)
            h = z * n + (1 - z) * h if on("update_inverted") else (1 - z) * n + z * h
            states.append(h)
        return paddle.stack(states, axis=1), h.unsqueeze(0)
