"""The float64 twin of a paddle model: its state and the casts inside its code.

Paddle has no function mode like torch's, so the functions that take a dtype are replaced while the
twin runs. A function that a model's file imported by name beforehand is out of reach: what it
returns stays in its own dtype, and the trace shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import paddle

from portalign.frameworks.paddlepaddle.kernels import exact_kernels
from portalign.frameworks.paddlepaddle.modules import is_statistic
from portalign.frameworks.segments import lifted_as_read

_LOW_TYPES = (paddle.float32, paddle.float16, paddle.bfloat16)
_LOW_NAMES = frozenset({"float32", "float16", "bfloat16", "fp32", "fp16", "bf16"})
_FACTORIES = [
    "cast",
    "zeros",
    "ones",
    "full",
    "empty",
    "arange",
    "linspace",
    "eye",
    "to_tensor",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "rand",
    "randn",
    "uniform",
    "normal",
    "sum",
    "mean",
    "cumsum",
    "cumprod",
    "prod",
    "logspace",
]
_TENSOR = ["cast", "astype", "to", "sum", "mean", "cumsum", "cumprod", "prod"]
_FUNCTIONAL = ["softmax", "log_softmax", "one_hot", "gumbel_softmax"]
_TENSOR_CASTS = ["float", "half", "bfloat16"]


def lift(model: paddle.nn.Layer) -> tuple[str, ...]:
    """Turn parameters, buffers and plain tensor attributes to float64 in place.

    Returns:
        No notes: paddle's own kernels round their scalars by themselves.
    """
    model._to_impl(dtype="float64", floating_only=True)
    for layer in model.sublayers(include_self=True):
        for name, value in list(vars(layer).items()):
            if _is_low(value):
                setattr(layer, name, value.astype("float64"))
    return ()


@contextmanager
def segments(model: paddle.nn.Layer) -> Iterator[tuple[str, ...]]:
    """While open, the model's tensors are lifted as they are read; else as `lift`."""
    with lifted_as_read(
        model.sublayers(include_self=True), is_low=_is_low, lift=_double, is_written=is_statistic
    ):
        yield ()


def _is_low(value: object) -> bool:
    return isinstance(value, paddle.Tensor) and value.dtype in _LOW_TYPES


def _double(tensor: paddle.Tensor) -> paddle.Tensor:
    return tensor.astype("float64")


@contextmanager
def lifted() -> Iterator[list[str]]:
    """While open, default dtype is float64 and every named lower float dtype means float64.

    Kernels that have float32 constants of their own get float64 ones. Yields a list of notes that
    grows while they run.
    """
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    undo: list[tuple[Any, str, Any]] = []
    places = [
        (paddle, _FACTORIES),
        (paddle.Tensor, _TENSOR),
        (paddle.nn.functional, _FUNCTIONAL),
    ]
    notes: list[str] = []
    try:
        for owner, names in places:
            for name in names:
                _replace(owner, name, _raising, undo)
        for name in _TENSOR_CASTS:
            _replace(paddle.Tensor, name, _to_float64, undo)
        _replace(paddle._C_ops, "nll_loss", _reducing_by_hand, undo)
        with exact_kernels(notes):
            yield notes
    finally:
        for owner, name, original in reversed(undo):
            setattr(owner, name, original)
        paddle.set_default_dtype(default)


def _replace(
    owner: Any,
    name: str,
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]],
    undo: list[tuple[Any, str, Any]],
) -> None:
    original = getattr(owner, name, None)
    if original is not None:  # not every version has every name
        undo.append((owner, name, original))
        setattr(owner, name, wrap(original))


def _raising(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def raised(*args: Any, **kwargs: Any) -> Any:
        return function(
            *(_raise(value) for value in args),
            **{name: _raise(value) for name, value in kwargs.items()},
        )

    return raised


def _to_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def cast(tensor: paddle.Tensor, *_args: Any, **_kwargs: Any) -> Any:
        return tensor.astype("float64")

    return cast


def _reducing_by_hand(function: Callable[..., Any]) -> Callable[..., Any]:
    """Paddle 3.3.1's nll_loss writes beyond its memory on CPU where it reduces float64 losses and
    labels are ignored; its unreduced losses are right.
    """

    @wraps(function)
    def reduced(input: Any, label: Any, weight: Any, ignored: int, reduction: str) -> Any:
        if reduction == "none" or input.dtype != paddle.float64:
            return function(input, label, weight, ignored, reduction)
        total = function(input, label, weight, ignored, "none")[0].sum()
        kept = label != ignored
        counted = kept.astype(input.dtype)
        if weight is not None:
            classes = (label * kept.astype(label.dtype)).flatten()
            counted *= paddle.gather(weight, classes).reshape(label.shape)
        return total if reduction == "sum" else total / counted.sum(), counted.sum()

    return reduced


def _raise(value: Any) -> Any:
    if isinstance(value, str):
        return "float64" if value in _LOW_NAMES else value
    return paddle.float64 if isinstance(value, paddle.dtype) and value in _LOW_TYPES else value
