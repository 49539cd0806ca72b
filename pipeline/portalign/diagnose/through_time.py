"""Gradients of the weights of an LSTM or GRU through time, and what is left where they are cut.

Written out step by step, for a truncated backward can't be had from the whole one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.functions import FUNCTIONS

_sigmoid = FUNCTIONS["sigmoid"]


@final
@dataclass(frozen=True, slots=True)
class Run:
    """One direction of one layer, in the order of its own steps.

    Attributes:
        x: [batch, time, in]. hidden, cell: [batch, hidden], at the start.
        given: gradient of all its hidden states, [batch, time, hidden].
        last, last_cell: gradients of the last ones given out beside them, [batch, hidden].
        weights: "weight_ih", "weight_hh" and the biases, if it has any; gates as torch has them.
    """

    x: Numbers
    hidden: Numbers
    cell: Numbers
    given: Numbers
    last: Numbers
    last_cell: Numbers
    weights: Mapping[str, Numbers]


def run_of(site: Site, suffix: str) -> Run | None:
    """The direction of the layer that a weight belongs to; None where it isn't recorded as one.

    Args:
        suffix: "_reverse" or "", of the weight's name.
    """
    path = site.origin.path
    sources = {s.name: np.asarray(s.array, np.float64) for s in site.reference.earlier}
    weights = {
        name: np.asarray(values, np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        if (values := site.reference.state.get(f"{path}.{name}_l0{suffix}")) is not None
    }
    x, given = sources.get(f"{path} in.0"), sources.get(f"grad {path} out.0")
    if x is None or given is None or "weight_hh" not in weights or x.ndim != 3:
        return None
    n_hidden, is_back = weights["weight_hh"].shape[1], bool(suffix)
    given = given[..., -n_hidden:] if is_back else given[..., :n_hidden]

    shape = (len(x), n_hidden)

    def one(*names: str) -> Numbers:
        for values in (sources[name] for name in names if name in sources):
            if values.ndim == 3 and values.shape[1:] == shape:
                return np.asarray(values[-1 if is_back else 0])
        return np.zeros(shape)

    return Run(
        x[:, ::-1] if is_back else x,
        hidden=one(f"{path} in.1", f"{path} in.1.0"),
        cell=one(f"{path} in.1.1"),
        given=given[:, ::-1] if is_back else given,
        last=one(f"grad {path} out.1", f"grad {path} out.1.0"),
        last_cell=one(f"grad {path} out.1.1"),
        weights=weights,
    )


def gradients(run: Run, *, is_cut: bool = False, is_cell_cut: bool = False) -> dict[str, Numbers]:
    """Gradients of the weights by their names.

    Args:
        is_cut: no gradient goes from a step's hidden state to the step before.
        is_cell_cut: nor from an LSTM's cell.
    """
    n_gates = run.weights["weight_ih"].shape[0] // run.hidden.shape[1]
    steps = _lstm(run, is_cut, is_cell_cut) if n_gates == 4 else _gru(run, is_cut)
    found = {
        name: np.zeros_like(run.weights[name])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        if name in run.weights
    }
    for at, hidden, of_x, of_hidden in steps:
        found["weight_ih"] += of_x.T @ run.x[:, at]
        found["weight_hh"] += of_hidden.T @ hidden
        if "bias_ih" in found:
            found["bias_ih"] += of_x.sum(0)
        if "bias_hh" in found:
            found["bias_hh"] += of_hidden.sum(0)
    return found


_Step = tuple[int, Numbers, Numbers, Numbers]  # at, hidden before, gradients of both products


def _products(run: Run, at: int, hidden: Numbers) -> tuple[Numbers, Numbers]:
    w = run.weights
    zero = np.zeros(w["weight_ih"].shape[0])
    of_x = run.x[:, at] @ w["weight_ih"].T + w.get("bias_ih", zero)
    return of_x, hidden @ w["weight_hh"].T + w.get("bias_hh", zero)


def _lstm(run: Run, is_cut: bool, is_cell_cut: bool) -> list[_Step]:
    hidden, cell, kept = run.hidden, run.cell, []
    for at in range(run.x.shape[1]):
        i, f, g, o = np.split(sum(_products(run, at, hidden)), 4, axis=-1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        kept.append((hidden, cell, i, f, g, o))
        cell = f * cell + i * g
        hidden = o * np.tanh(cell)
    back, back_cell, found = run.last, run.last_cell, []
    for at in reversed(range(len(kept))):
        hidden, cell, i, f, g, o = kept[at]
        after = np.tanh(f * cell + i * g)
        back = back + run.given[:, at]
        back_cell = back_cell + back * o * (1 - after**2)
        gates = np.concatenate(
            [
                back_cell * g * i * (1 - i),
                back_cell * cell * f * (1 - f),
                back_cell * i * (1 - g**2),
                back * after * o * (1 - o),
            ],
            axis=-1,
        )
        found.append((at, hidden, gates, gates))
        back = np.zeros_like(back) if is_cut else gates @ run.weights["weight_hh"]
        back_cell = np.zeros_like(back) if is_cell_cut else back_cell * f
    return found


def _gru(run: Run, is_cut: bool) -> list[_Step]:
    hidden, kept = run.hidden, []
    for at in range(run.x.shape[1]):
        of_x, of_hidden = (np.split(each, 3, axis=-1) for each in _products(run, at, hidden))
        reset, update = (_sigmoid(of_x[n] + of_hidden[n]) for n in (0, 1))
        new = np.tanh(of_x[2] + reset * of_hidden[2])
        kept.append((hidden, reset, update, new, of_hidden[2]))
        hidden = (1 - update) * new + update * hidden
    back, found = run.last, []
    for at in reversed(range(len(kept))):
        hidden, reset, update, new, behind = kept[at]
        back = back + run.given[:, at]
        of_new = back * (1 - update) * (1 - new**2)
        of_reset = of_new * behind * reset * (1 - reset)
        of_update = back * (hidden - new) * update * (1 - update)
        products = np.concatenate([of_reset, of_update, of_new * reset], axis=-1)
        found.append((at, hidden, np.concatenate([of_reset, of_update, of_new], axis=-1), products))
        back = back * update + products @ run.weights["weight_hh"]
        back = np.zeros_like(back) if is_cut else back
    return found
