"""LSTM and GRU, layer by layer and in both directions, with the batch first or second."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.functions import FUNCTIONS
from portalign.findings import OriginKind

_NAME = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")
N_GATES = {"LSTM": 4, "GRU": 3}


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE or site.reference.target.ndim != 3:
        return
    for is_batch_first in (True, False):
        ours = _reading(site.reference, site.reference, is_batch_first=is_batch_first)
        theirs = _reading(site.candidate, site.reference, is_batch_first=is_batch_first)
        if ours and theirs:
            yield ours, theirs


def _reading(view: View, reference: View, *, is_batch_first: bool) -> Reading | None:
    state = {n: np.asarray(a, np.float64) for n, a in reference.own_state().items()}
    hidden = state.get("weight_hh_l0")
    if hidden is None or not all(map(_NAME.fullmatch, state)) or not view.inputs:
        return None
    kinds = [kind for kind, n in N_GATES.items() if hidden.shape[0] == n * hidden.shape[1]]
    inputs = [np.asarray(source.array, np.float64) for source in view.inputs]
    if not kinds or any(each.ndim != 3 for each in inputs):
        return None
    tensors = {**state, "x": inputs[0] if is_batch_first else inputs[0].swapaxes(0, 1)}
    tensors |= {f"start {n}": start for n, start in enumerate(inputs[1:])}
    return Reading(view, tensors, {"kind": kinds[0], "first": "batch" if is_batch_first else ""})


def _compute(reading: Reading, run: Run) -> Numbers:
    x = reading.tensors["x"]  # [batch, time, in]
    names = [n for n in reading.tensors if n.startswith("weight_hh_l")]
    n_layers = 1 + max(int(_layer(name)) for name in names)
    n_directions = len(names) // n_layers
    for layer in range(n_layers):
        suffixes = [f"_l{layer}", f"_l{layer}_reverse"][:n_directions]
        order = run("directions", np.arange(float(n_directions))).astype(int)
        made = [
            _direction(reading, run, x, suffixes[which], layer * n_directions + at, at)
            for at, which in enumerate(order)
        ]
        x = np.concatenate(made, axis=-1)
    return x if reading.names["first"] else x.swapaxes(0, 1)


def _layer(name: str) -> str:
    found = _NAME.fullmatch(name)
    return found.group(3) if found else "0"


def _direction(
    reading: Reading, run: Run, x: Numbers, suffix: str, number: int, at: int
) -> Numbers:
    """All hidden states of one direction, [batch, time, hidden]."""
    tensors = reading.tensors
    weights = [run(f"weight_{w}", tensors[f"weight_{w}{suffix}"]) for w in ("ih", "hh")]
    biases = [
        run(f"bias_{w}", tensors[f"bias_{w}{suffix}"]) if f"bias_{w}{suffix}" in tensors else 0.0
        for w in ("ih", "hh")
    ]
    is_back = bool(at) and bool(run("backward", np.asarray(1.0)))
    steps = x[:, ::-1] if is_back else x
    n_hidden = weights[1].shape[1]
    starts = [
        tensors[f"start {n}"][number] if f"start {n}" in tensors else np.zeros((len(x), n_hidden))
        for n in range(2)
    ]
    step = _lstm if reading.names["kind"] == "LSTM" else _gru
    hidden, cell, found = starts[0], starts[1], []
    for now in range(steps.shape[1]):
        given = steps[:, now] @ weights[0].T + biases[0]
        hidden, cell = step(run, given, hidden, cell, weights[1], biases[1])
        found.append(hidden)
    made = np.stack(found, axis=1)
    return made[:, ::-1] if is_back else made


def _lstm(
    run: Run, given: Numbers, hidden: Numbers, cell: Numbers, weight: Numbers, bias: Numbers | float
) -> tuple[Numbers, Numbers]:
    parts = np.stack(np.split(given + hidden @ weight.T + bias, 4, axis=-1))
    i, f, g, o = run("gates", parts)
    f = run("forget gate", f)
    i, f, o = (_gate(run, each) for each in (i, f, o))
    cell = f * cell + i * np.tanh(g)
    shown = run("cell function", cell)
    return o * (np.tanh(cell) if shown is cell else shown), cell


def _gru(
    run: Run, given: Numbers, hidden: Numbers, cell: Numbers, weight: Numbers, bias: Numbers | float
) -> tuple[Numbers, Numbers]:
    own = hidden @ weight.T + bias
    x, h = (np.stack(np.split(each, 3, axis=-1)) for each in (given, own))
    x, h = run("gates", x), run("gates", h)
    reset, update = _gate(run, x[0] + h[0]), _gate(run, x[1] + h[1])
    update = run("update gate", update)
    behind = h[2]
    if run("reset", np.asarray(0.0)):  # before the multiplication instead of after it
        n = weight.shape[1]
        last = bias[2 * n :] if isinstance(bias, np.ndarray) else bias
        new = np.tanh(x[2] + (reset * hidden) @ weight[2 * n :].T + last)
    else:
        new = np.tanh(x[2] + reset * behind)
    return (1.0 - update) * new + update * hidden, cell


def _gate(run: Run, values: Numbers) -> Numbers:
    opened = run("gate function", values)
    return FUNCTIONS["sigmoid"](values) if opened is values else opened


FAMILY = Family("recurrent", _readings, _compute)
