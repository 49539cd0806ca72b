from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from causes.places import Numbers, Seeded, module, random

X, HIDDEN = random(3, 5, 6), 4
STATE = {
    f"{kind}_{which}_l0{end}": random(*shape, seed=seed) / 2
    for seed, (kind, which, end, shape) in enumerate(
        (kind, which, end, (4 * HIDDEN, *([n_in] if kind == "weight" else [])))
        for end in ("", "_reverse")
        for which, n_in in (("ih", 6), ("hh", HIDDEN))
        for kind in ("weight", "bias")
    )
}


def sigmoid(x: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-x))


def hard(x: Numbers) -> Numbers:
    return np.clip(x / 6 + 0.5, 0, 1)


@dataclass(frozen=True)
class Lstm:
    """Both directions of an LSTM, step by step; every field can be a fault."""

    gates: str = "ifgo"
    forget: float = 0.0
    is_hard: bool = False
    is_bare: bool = False
    is_forward_only: bool = False
    ends: tuple[str, str] = ("", "_reverse")
    state: dict[str, Numbers] = field(default_factory=lambda: STATE)

    def made(self) -> Numbers:
        forward = self.run(X, self.ends[0])
        if self.is_forward_only:
            backward = self.run(X, self.ends[1])
        else:
            backward = self.run(X[:, ::-1], self.ends[1])[:, ::-1]
        return np.concatenate([forward, backward], axis=-1)

    def run(self, x: Numbers, end: str) -> Numbers:
        w_x, w_h, b_x, b_h = (
            self.state[f"{name}_l0{end}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = c = np.zeros((len(x), HIDDEN))
        shown, gate = [], hard if self.is_hard else sigmoid
        for now in range(x.shape[1]):
            parts = np.split(x[:, now] @ w_x.T + b_x + h @ w_h.T + b_h, 4, axis=-1)
            by_name = dict(zip(self.gates, parts, strict=True))
            c = gate(by_name["f"] + self.forget) * c + gate(by_name["i"]) * np.tanh(by_name["g"])
            h = gate(by_name["o"]) * (c if self.is_bare else np.tanh(c))
            shown.append(h)
        return np.stack(shown, axis=1)


RIGHT = Lstm().made()
CLEAN = module(RIGHT, Lstm(forget=1e-17).made(), inputs={"in.0": X}, state=STATE)


def changed(name: str, values: Numbers) -> Lstm:
    return Lstm(state={**STATE, name: values})


def fault(rule: str, wrong: Lstm, **given: object) -> Seeded:
    site = module(RIGHT, wrong.made(), inputs={"in.0": X}, state=STATE)
    return Seeded(rule, site, CLEAN, **given)  # type: ignore[arg-type]


FAULTS = (fault("rnn-gates", Lstm(gates="ifog"), says="i f o g, in the reference i f g o"),)
