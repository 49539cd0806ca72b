"""Kernels of paddle that compute in float32 whatever they are given, and the same in float64.

Twin of `pytorch.kernels`. Each is caught where its operation is called, in ``paddle._C_ops``, so
that every name of it is reached. What the port asks for (window, size, slope) stays as it is: only
the precision of the kernel's own constants is lifted. Measured with paddle 3.3.1 on a CPU against
torch 2.13, float64; tests/test_kernels.py measures again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, partialmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
from paddle import _C_ops

from portalign.frameworks.paddlepaddle.resizing import resized
from portalign.frameworks.pooling import window_sizes

_Op = Callable[..., Any]
_Exact = Callable[..., Any | None]  # None: as the kernel has it


@dataclass(frozen=True, slots=True)
class Floor:
    """What kernels lose in float64.

    Attributes:
        operations: names in ``paddle._C_ops``.
        direction: "backward", or "forward and backward".
        size: greatest relative difference seen (Frobenius norm).
        why: what of them is float32.
        exact: the same in float64, from the kernel and its arguments.
        is_fault: no matter of precision, and `exact` leaves it: its gradient is wrong.
    """

    operations: tuple[str, ...]
    direction: str
    size: float
    why: str
    exact: _Exact
    is_fault: bool = False


@contextmanager
def exact_kernels(notes: list[str]) -> Iterator[None]:
    """While open, float64 tensors meet float64 constants in these kernels.

    Args:
        notes: gets one sentence for each kernel that was evened out.
    """
    with ExitStack() as undo:
        for floor in FLOORS:
            for name in floor.operations:
                kernel = getattr(_C_ops, name, None)
                if kernel is not None:  # not every version has every name
                    undo.callback(setattr, _C_ops, name, kernel)
                    setattr(_C_ops, name, partial(_called, kernel, name, floor, notes))
        power = paddle.Tensor.__pow__
        undo.callback(setattr, paddle.Tensor, "__pow__", power)
        paddle.Tensor.__pow__ = partialmethod(_to_the_power, power)
        yield


def _to_the_power(x: Any, power: _Op, exponent: Any) -> Any:
    """``**`` calls the kernel past its name; not where that would be another."""
    is_named = isinstance(exponent, float) and x.dtype == paddle.float64
    return _C_ops.pow(x, exponent) if is_named else power(x, exponent)


def _called(
    kernel: _Op, name: str, floor: Floor, notes: list[str], *args: Any, **kwargs: Any
) -> Any:
    is_plain = args and all(value is None for value in kwargs.values())
    is_lifted = is_plain and args[0].dtype == paddle.float64
    exact = floor.exact(kernel, *args) if is_lifted else None
    if exact is None:
        return kernel(*args, **kwargs)
    instead = "" if floor.is_fault else "; its twin doesn't"
    note = f"paddle's {name} {floor.why}, {floor.size:.1g} in float64, {floor.direction}{instead}"
    if note not in notes:
        notes.append(note)
    return exact


def _single(value: float) -> bool:
    return float(np.float32(value)) == value


# -- average pooling: the gradient is multiplied by float32(1 / window), the forward is exact


def _pool(kernel: _Op, x: Any, *args: Any) -> Any | None:
    sizes = _window_sizes(x, *args)
    if x.stop_gradient or sizes is None:
        return None
    inexact = (np.float32(1) / sizes.astype(np.float32)).astype(np.float64) * sizes
    if (inexact == 1).all():
        return None
    shares = paddle.to_tensor(1 / inexact)
    # paddle 3.3.1 calls a hook on a PyLayer's own output and then ignores the gradient it returns
    return _Divided.apply(kernel(x, *args), (shares,)).clone()


class _Divided(paddle.autograd.PyLayer):
    """The same values; gradients times what is in the box."""

    @staticmethod
    def forward(ctx: Any, values: paddle.Tensor, box: tuple[paddle.Tensor]) -> paddle.Tensor:
        ctx.box = box
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        return gradient * ctx.box[0]


def _window_sizes(
    x: Any,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    exclusive: bool,
    data_format: str,
    pooling_type: str,
    is_global: bool,
    is_adaptive: bool,
    padding_algorithm: str,
) -> npt.NDArray[np.float64] | None:
    """Elements of each output's window, shaped to multiply the output; None for what isn't known to
    be counted like this.
    """
    lengths = list(x.shape[1:-1] if data_format.endswith("C") else x.shape[2:])
    is_plain = len(padding) == len(lengths) and padding_algorithm == "EXPLICIT"
    if pooling_type != "avg" or is_global or not is_plain:
        return None
    sizes = window_sizes(
        lengths,
        kernel_size,
        stride,
        padding,
        is_adaptive=is_adaptive,
        ceil_mode=ceil_mode,
        exclusive=exclusive,
    )
    return sizes[..., None] if data_format.endswith("C") else sizes


# -- group norm: without weight and bias its gradient is wrong, which stays so and is named


def _group_norm(kernel: _Op, x: Any, weight: Any, bias: Any, *args: Any) -> Any | None:
    is_affine = weight is not None and bias is not None
    return None if is_affine or x.stop_gradient else kernel(x, weight, bias, *args)


# -- resizing: positions and weights are float32


def _resize(
    kernel: _Op,
    x: Any,
    out_size: Any,
    size_tensor: Any,
    scale_tensor: Any,
    data_layout: str,
    *more: Any,
) -> Any | None:
    *_sizes, scale, method, align_corners, align_mode = more
    if data_layout != "NCHW" or scale_tensor is not None:
        return None
    with paddle.no_grad():
        shape = kernel(x, out_size, size_tensor, scale_tensor, data_layout, *more).shape[2:]
    return resized(
        x,
        shape,
        scales=list(scale),
        is_cubic=method == "bicubic",
        align_corners=align_corners,
        half_pixel=align_mode == 0,
    )


# -- activations: slopes and limits are float32 attributes

# paddle's default for a sixth is the number 0.1666667
_SIXTH = 0.1666667


def _hardsigmoid(_kernel: _Op, x: Any, slope: float, offset: float) -> Any:
    return paddle.clip(x * (1 / 6 if slope == _SIXTH else slope) + offset, 0.0, 1.0)


def _selu(_kernel: _Op, x: Any, scale: float, alpha: float) -> Any:
    return scale * _exponential(x, alpha)


def _elu(_kernel: _Op, x: Any, alpha: float) -> Any | None:
    return None if _single(alpha) else _exponential(x, alpha)


def _celu(_kernel: _Op, x: Any, alpha: float) -> Any | None:
    return None if _single(alpha) else _exponential(x, alpha, width=alpha)


def _exponential(x: Any, alpha: float, *, width: float = 1.0) -> Any:
    below = alpha * paddle.expm1(paddle.minimum(x, paddle.zeros([], x.dtype)) / width)
    return paddle.where(x > 0, x, below)


def _hardtanh(_kernel: _Op, x: Any, low: float, high: float) -> Any | None:
    return None if _single(low) and _single(high) else paddle.clip(x, low, high)


def _softshrink(_kernel: _Op, x: Any, threshold: float) -> Any | None:
    if _single(threshold):
        return None
    nothing = paddle.zeros([], x.dtype)
    moved = paddle.where(x < -threshold, x + threshold, nothing)
    return paddle.where(x > threshold, x - threshold, moved)


def _pow(_kernel: _Op, x: Any, exponent: Any) -> Any | None:
    if not isinstance(exponent, float) or _single(exponent):
        return None
    return _C_ops.elementwise_pow(x, paddle.full([], exponent, "float64"))


_BOTH = "forward and backward"
FLOORS = (
    Floor(
        ("pool2d", "pool3d"), "backward", 4.1e-8, "multiplies by 1 / window size in float32", _pool
    ),
    Floor(
        ("linear_interp", "bilinear_interp", "trilinear_interp", "bicubic_interp"),
        _BOTH,
        6.9e-7,
        "takes positions and weights in float32",
        _resize,
    ),
    Floor(
        ("hardsigmoid",), _BOTH, 1.8e-7, "has the slope 0.1666667 for a sixth, in float32",
        _hardsigmoid,
    ),
    Floor(("selu",), _BOTH, 2.9e-8, "keeps scale and alpha in float32", _selu),
    Floor(("elu",), _BOTH, 7.0e-9, "keeps alpha in float32", _elu),
    Floor(("celu",), _BOTH, 1.4e-8, "keeps alpha in float32", _celu),
    Floor(("hardtanh",), "forward", 3.8e-8, "keeps its limits in float32", _hardtanh),
    Floor(("softshrink",), "forward", 1.5e-8, "keeps its threshold in float32", _softshrink),
    Floor(
        ("group_norm",),
        "backward",
        0.15,
        "without weight and bias returns a wrong gradient on a CPU (give it both)",
        _group_norm,
        is_fault=True,
    ),
    Floor(("pow",), _BOTH, 4.7e-8, "keeps the exponent in float32", _pow),
)  # fmt: skip
