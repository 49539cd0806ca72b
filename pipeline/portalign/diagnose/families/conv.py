"""A convolution in any number of dimensions, with groups; stride and padding are knobs."""

from __future__ import annotations

from functools import partial

import numpy as np

from portalign.diagnose.evidence import Numbers, View
from portalign.diagnose.family import Family, Reading, Run, of_module
from portalign.diagnose.windows import MODES, padded, windows


def _reading(view: View, reference: View) -> Reading | None:
    weight, bias = (reference.own_state().get(slot) for slot in ("weight", "bias"))
    if weight is None or weight.ndim < 3 or len(view.inputs) != 1:
        return None
    x = np.asarray(view.inputs[0].array, np.float64)  # [batch, in, *places]
    if not x.ndim == view.target.ndim == weight.ndim or x.shape[1] % weight.shape[1]:
        return None
    tensors = {"x": x, "weight": np.asarray(weight, np.float64)}
    if bias is not None:
        tensors["bias"] = np.asarray(bias, np.float64)
    return Reading(view, tensors)


def _compute(reading: Reading, run: Run) -> Numbers:
    tensors = reading.tensors
    weight = run("weight", tensors["weight"])  # [out, in / groups, *kernel]
    sides = run("padding", np.zeros((weight.ndim - 2, 2)))  # [axes, before and after]
    stride, dilation = (int(run(name, np.asarray(1.0))) for name in ("stride", "dilation"))
    mode = MODES[int(run("padding mode", np.asarray(0.0)))]
    x = padded(run("input", tensors["x"]), sides.astype(int), 0.0, mode=mode)
    _require_shape(x, weight, reading.view.target.shape, stride, dilation)
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


def _require_shape(
    x: Numbers, weight: Numbers, made: tuple[int, ...], stride: int, dilation: int
) -> None:
    """Raise ValueError before the work is done where the shape can't be right."""
    reaches = [dilation * (size - 1) + 1 for size in weight.shape[2:]]
    places = [(n - r) // stride + 1 for n, r in zip(x.shape[2:], reaches, strict=True)]
    if (len(x), len(weight), *places) != made:
        raise ValueError(f"this convolution makes {places} places")


def _last(seen: Numbers, weight: Numbers) -> range:
    return range(seen.ndim - (weight.ndim - 2), seen.ndim)


FAMILY = Family("conv", partial(of_module, _reading), _compute)
