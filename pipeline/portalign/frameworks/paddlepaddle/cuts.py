"""Losses without the cut that paddle's CPU kernels make in their exponents.

Softmax, log-softmax and cross entropy take ``max(x - max(x), -64)``: with paddle 3.3.1 a loss of
422 comes out as 64, to the last bit. The gradient is that of the uncut one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import paddle
from paddle import _C_ops

CUT = 64.0
_Op = Callable[..., Any]


def uncut(compute: Callable[[], paddle.Tensor]) -> tuple[paddle.Tensor, paddle.Tensor | None]:
    """Compute a loss, and once more without the cut where one was made; None where none was."""
    cuts: list[str] = []
    with _instead(partial(_noted, cuts)):
        loss = compute()
    if not cuts:
        return loss, None
    with paddle.no_grad(), _instead(_exact):
        return loss, compute()


@contextmanager
def _instead(wrap: Callable[..., Any]) -> Iterator[None]:
    with ExitStack() as undo:
        for name in ("cross_entropy_with_softmax", "log_softmax"):
            kernel = getattr(_C_ops, name, None)
            if kernel is not None:  # not every version has every name
                undo.callback(setattr, _C_ops, name, kernel)
                setattr(_C_ops, name, partial(wrap, name, kernel))
        yield


def _noted(cuts: list[str], name: str, kernel: _Op, logits: Any, *args: Any) -> Any:
    axis = args[-1]
    with paddle.no_grad():
        depth = paddle.max(logits, axis, keepdim=True) - paddle.min(logits, axis, keepdim=True)
        if bool((depth > CUT).any()):
            cuts.append(name)
    return kernel(logits, *args)


def _exact(name: str, kernel: _Op, logits: Any, *args: Any) -> Any:
    axis = args[-1]
    below = logits - paddle.max(logits, axis, keepdim=True)
    powers = below - paddle.log(paddle.sum(paddle.exp(below), axis, keepdim=True))
    if name == "log_softmax":
        return powers
    labels, is_soft, uses_softmax, _is_stable, ignored = args[:5]
    if not uses_softmax:
        return kernel(logits, *args)
    if is_soft:
        return paddle.exp(powers), -paddle.sum(labels * powers, axis, keepdim=True)
    is_kept = labels != ignored
    picked = paddle.take_along_axis(powers, paddle.where(is_kept, labels, 0 * labels), axis)
    return paddle.exp(powers), -picked * is_kept.astype(picked.dtype)
