"""Random numbers in paddle, caught where its operations are called: dropout of every sort and name.

Every Python function that draws looks its operation up in ``paddle._C_ops`` when it is called
(paddle 3.3.1), also one that a model's file imported by name. The framework draws as ever and the
values are then replaced, so its own generator moves as in a bare run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import paddle
from paddle import _C_ops

from portalign.frameworks.base import Source
from portalign.frameworks.drawing import KEEP, NORMAL, UNIFORM, VARIES, Whereabouts
from portalign.frameworks.paddlepaddle.modules import from_numpy, to_numpy
from portalign.frameworks.paddlepaddle.watching import follow
from portalign.records import Array

_Op = Callable[..., Any]
_DROPOUT: _Op = _C_ops.dropout
# Of a fused operation or of a distribution that no other side is known to draw alike.
_UNKNOWN = (
    "binomial",
    "dirichlet",
    "exponential_",
    "fused_bias_dropout_residual_layer_norm",
    "fused_dropout_add",
    "gumbel_softmax",
    "multinomial",
    "poisson",
    "randint",
    "random",
    "random_",
    "randperm",
    "standard_gamma",
    "truncated_gaussian_random",
)


@contextmanager
def drawing(model: paddle.nn.Layer, source: Source) -> Iterator[None]:
    """While open, what the model draws goes through the source."""
    whereabouts = Whereabouts()
    draws = _Draws(source, whereabouts)
    with follow(model, whereabouts), ExitStack() as undo:
        for name, wrap in draws.wraps().items():
            original = getattr(_C_ops, name, None)
            if original is not None:  # not every version has every name
                undo.callback(setattr, _C_ops, name, original)
                setattr(_C_ops, name, wrap(original))
        yield


class _Draws:
    def __init__(self, source: Source, whereabouts: Whereabouts) -> None:
        self._source = source
        self._whereabouts = whereabouts

    def wraps(self) -> dict[str, Callable[[_Op], _Op]]:
        """By name of the operation, what takes its place."""
        known = {
            "dropout": self._dropout,
            "dropout_": self._dropout,
            "bernoulli": self._bernoulli,
            "uniform": self._ranged(UNIFORM, at=2),
            "uniform_inplace_": self._ranged(UNIFORM, at=1),
            "gaussian": self._ranged(NORMAL, at=1),
            "gaussian_inplace_": self._ranged(NORMAL, at=1),
            "rnn": self._trained("rnn", lambda args: args[5] > 0 and not args[-1]),
            "rrelu": self._trained("rrelu", lambda args: not args[-1]),
        }
        return {**known, **{name: self._trained(name, lambda _: True) for name in _UNKNOWN}}

    def _dropout(self, original: _Op) -> _Op:
        def dropout(x: Any, seed: Any, p: Any, is_test: bool, mode: str, *rest: Any) -> Any:
            if is_test or not x.size:
                return original(x, seed, p, is_test, mode, *rest)
            kept = 1.0 - _number(p)
            ones = paddle.ones_like(x.detach())
            own = to_numpy(_DROPOUT(ones, seed, p, is_test, mode, *rest)) != 0
            values = self._draw(KEEP, (kept,), own)
            mask = from_numpy(own if values is None else values).astype(x.dtype)
            divisor = kept if mode == "upscale_in_train" and kept else 1.0
            if original is not _DROPOUT:  # in place
                return x.multiply_(mask).scale_(1.0 / divisor)
            return x * mask / divisor  # divided, as the kernel does: the same bits

        return dropout

    def _bernoulli(self, original: _Op) -> _Op:
        def bernoulli(x: Any, *args: Any) -> Any:
            drawn = original(x, *args)
            self._replace(KEEP, (_number(x),), drawn)
            return drawn

        return bernoulli

    def _ranged(self, kind: str, *, at: int) -> Callable[[_Op], _Op]:
        """Of an operation whose two terms stand at this place of its arguments."""

        def wrap(original: _Op) -> _Op:
            def ranged(*args: Any, **kwargs: Any) -> Any:
                drawn = original(*args, **kwargs)
                self._replace(kind, (_number(args[at]), _number(args[at + 1])), drawn)
                return drawn

            return ranged

        return wrap

    def _trained(self, name: str, draws: Callable[[tuple[Any, ...]], bool]) -> Callable[[_Op], _Op]:
        """Of an operation that can't be replaced, and that only draws if `draws` says so."""

        def wrap(original: _Op) -> _Op:
            def told(*args: Any, **kwargs: Any) -> Any:
                if draws(args):
                    self._source.unknown(self._whereabouts.path, name)
                return original(*args, **kwargs)

            return told

        return wrap

    def _replace(self, kind: str, terms: tuple[float, ...], drawn: Any) -> None:
        own = to_numpy(drawn)
        values = self._draw(kind, terms, own != 0 if kind == KEEP else own)
        if values is not None:
            drawn.set_value(from_numpy(np.array(values)).astype(drawn.dtype))

    def _draw(self, kind: str, terms: tuple[float, ...], own: Array) -> Array | None:
        return self._source.draw(self._whereabouts.path, kind, terms, np.array(own))


def _number(value: Any) -> float:
    """One number; of a tensor its only value, or `VARIES`."""
    if not isinstance(value, paddle.Tensor):
        return float(value)
    low, high = float(value.min()), float(value.max())
    return low if low == high else VARIES
