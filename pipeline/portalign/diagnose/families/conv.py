"""A convolution in any number of dimensions, with groups; stride and padding are searched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.windows import padded, windows
from portalign.findings import OriginKind

_STRIDES = (1, 2, 3, 4, 8, 14, 16, 32)
_DILATIONS = (1, 2, 4)


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    if site.origin.kind is not OriginKind.MODULE:
        return
    for stride, dilation in product(_STRIDES, _DILATIONS):
        ours = _reading(site.reference, site.reference, stride, dilation)
        theirs = _reading(site.candidate, site.reference, stride, dilation)
        if ours and theirs:
            yield ours, theirs


def _reading(view: View, reference: View, stride: int, dilation: int) -> Reading | None:
    weight, bias = (reference.own_state().get(slot) for slot in ("weight", "bias"))
    if weight is None or weight.ndim < 3 or len(view.inputs) != 1:
        return None
    x = np.asarray(view.inputs[0].array, np.float64)  # [batch, in, *places]
    made = view.target  # [batch, out, *places]
    if not x.ndim == made.ndim == weight.ndim or x.shape[1] % weight.shape[1]:
        return None
    padding = _padding(x, made, weight.shape[2:], stride, dilation)
    if padding is None or made.shape[1] != weight.shape[0]:
        return None
    tensors = {
        "x": x,
        "weight": np.asarray(weight, np.float64),
        "stride": np.asarray(float(stride)),
        "dilation": np.asarray(float(dilation)),
        "padding": np.asarray(padding, np.float64),
    }
    if bias is not None:
        tensors["bias"] = np.asarray(bias, np.float64)
    return Reading(view, tensors)


def _padding(
    x: Numbers, made: Numbers, kernel: tuple[int, ...], stride: int, dilation: int
) -> list[int] | None:
    """The least even padding that gives the output its shape; None if none does."""
    found = []
    for n_in, n_out, size in zip(x.shape[2:], made.shape[2:], kernel, strict=True):
        reach = dilation * (size - 1) + 1
        fitting = [p for p in range(reach + 1) if (n_in + 2 * p - reach) // stride + 1 == n_out]
        if not fitting:
            return None
        found.append(min(fitting, key=lambda p: abs(2 * p - (reach - 1))))
    return found


def _compute(reading: Reading, run: Run) -> Numbers:
    tensors = reading.tensors
    weight = run("weight", tensors["weight"])  # [out, in / groups, *kernel]
    sides = run("padding", np.stack([tensors["padding"]] * 2, axis=1))  # [places, before and after]
    stride, dilation = int(tensors["stride"]), int(tensors["dilation"])
    x = padded(run("input", tensors["x"]), sides.astype(int), 0.0)
    seen = windows(x, weight.shape[2:], stride, dilation)  # [batch, in, *places, *kernel]
    n_groups = x.shape[1] // weight.shape[1]
    parts = [
        np.tensordot(part, kernel, axes=([1, *_last(part, weight)], range(1, weight.ndim)))
        for part, kernel in zip(
            np.split(seen, n_groups, axis=1), np.split(weight, n_groups), strict=True
        )
    ]
    made: Numbers = np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)  # [batch, out, *places]
    if "bias" in tensors:
        bias = run("bias", tensors["bias"])
        made = made + bias.reshape(-1, *[1] * (made.ndim - 2))
    return run("output", made)


def _last(seen: Numbers, weight: Numbers) -> range:
    return range(seen.ndim - (weight.ndim - 2), seen.ndim)


FAMILY = Family("conv", _readings, _compute)
