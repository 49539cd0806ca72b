"""Norms over the last axis (LayerNorm, RMSNorm, what lies between), or over groups of channels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.findings import OriginKind
from portalign.records import Array

CHANNELS = "channels"  # in a reading's names: they are the second axis and not the last
_USUAL = (32, 16, 8, 4, 2, 1)  # numbers of groups, the commonest first
_MOST = 12  # numbers of groups that are tried


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE:
        return
    ours, theirs = _reading(site.reference), _reading(site.candidate)
    if ours and theirs:
        yield ours, theirs
    for n_groups in groups(site.reference.target.shape):
        both = [_grouped(view, n_groups) for view in (site.reference, site.candidate)]
        if both[0] and both[1]:
            yield both[0], both[1]


def groups(shape: tuple[int, ...]) -> list[int]:
    """Numbers of groups that the channels of [batch, channels, *places] can have."""
    if len(shape) < 3:
        return []
    n_channels = shape[1]
    every = [n for n in range(n_channels, 0, -1) if n_channels % n == 0]
    usual = [n for n in (*_USUAL, n_channels) if n in every]
    return list(dict.fromkeys((*usual, *every)))[:_MOST]


def _reading(view: View) -> Reading | None:
    width = view.target.shape[-1:]
    x, state = _input(view), view.own_state()
    if x is None or any(array.shape != width for array in state.values()):
        return None
    return Reading(view, {"x": x, **_numbers(state)})


def _grouped(view: View, n_groups: int) -> Reading | None:
    """[batch, groups, numbers of a group] in the place of [batch, channels, *places]."""
    x, state = _input(view), view.own_state()
    shape = view.target.shape
    if x is None or not state or not {*state} <= {"weight", "bias"}:
        return None
    if any(array.shape != shape[1:2] for array in state.values()):
        return None
    tensors = {"x": x.reshape(shape[0], n_groups, -1), **_numbers(state)}
    return Reading(view, tensors, {CHANNELS: "second", "groups": str(n_groups)})


def _input(view: View) -> Numbers | None:
    inputs = [s.array for s in view.inputs if s.array.shape == view.target.shape]
    if len(inputs) != 1 or inputs[0].dtype.kind in "iub":
        return None
    return np.asarray(inputs[0], np.float64)


def _numbers(state: dict[str, Array]) -> dict[str, Numbers]:
    return {slot: np.asarray(array, np.float64) for slot, array in state.items()}


def _compute(reading: Reading, run: Run) -> Numbers:
    x = run("centred", run("groups", reading.tensors["x"]))  # [..., width]
    variance = run("variance", np.mean(x * x, axis=-1, keepdims=True))
    normed = (x / run("deviation", np.sqrt(variance))).reshape(reading.view.target.shape)
    weight, bias = (reading.tensors.get(slot) for slot in ("weight", "bias"))
    if weight is not None:
        normed = normed * along(reading, run("weight", weight))
    if bias is not None:
        normed = normed + along(reading, run("bias", bias))
    return run("output", normed)


def along(reading: Reading, values: Numbers) -> Numbers:
    """One value per channel, to be multiplied with what is made."""
    if CHANNELS not in reading.names:
        return values
    return values.reshape(-1, *[1] * (reading.view.target.ndim - 2))


FAMILY = Family("norm", _readings, _compute)
