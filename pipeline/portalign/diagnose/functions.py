"""Activation functions in float64, by the names that both frameworks' users know."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from portalign.diagnose.evidence import Numbers

# erf to 1 ulp: numpy has none, and math.erf is one number at a time.
_SAMPLE, _FEWEST = 2048, 64
_APART = 0.25  # of the interquartile range
_NUDGE = 1e-5  # of a central difference: errs by 1e-11 for functions of this kind
_erf = np.frompyfunc(math.erf, 1, 1)


def _gelu(x: Numbers) -> Numbers:
    return 0.5 * x * (1.0 + np.asarray(_erf(x / math.sqrt(2.0)), np.float64))


def _gelu_tanh(x: Numbers) -> Numbers:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _sigmoid(x: Numbers) -> Numbers:
    return 1.0 / (1.0 + np.exp(-x))


def _softplus(x: Numbers) -> Numbers:
    return np.logaddexp(0.0, x)


def _softmax(x: Numbers) -> Numbers:
    powers = np.exp(x - np.max(x, axis=-1, keepdims=True))
    shares: Numbers = powers / np.sum(powers, axis=-1, keepdims=True)
    return shares


def may_be_function(x: Numbers, y: Numbers) -> bool:
    """Whether `y` may be a function of `x`, element by element, that seldom jumps.

    Then values of `y` at neighbouring values of `x` lie near each other, as they don't by chance:
    unrelated normal ones are 0.7 of their interquartile range apart in the middle, the functions
    below 0.05 of it or less at 64 values. Too few or infinite values can't tell: True.
    """
    some = np.linspace(0, max(x.size - 1, 0), min(x.size, _SAMPLE)).astype(int)
    few, made = x.ravel()[some], y.ravel()[some]
    if x.size != y.size or len(some) < _FEWEST or not np.isfinite(made).all():
        return x.size == y.size
    steps = np.abs(np.diff(made[np.argsort(few)]))
    low, high = np.quantile(made, (0.25, 0.75))
    return bool(np.median(steps) <= _APART * (high - low))


FUNCTIONS: Mapping[str, Callable[[Numbers], Numbers]] = MappingProxyType(
    {
        "identity": lambda x: x,
        "gelu (erf)": _gelu,
        "gelu (tanh)": _gelu_tanh,
        "quick gelu (x * sigmoid(1.702 x))": lambda x: x * _sigmoid(1.702 * x),
        "relu": lambda x: np.maximum(x, 0.0),
        "silu (swish)": lambda x: x * _sigmoid(x),
        "tanh": np.tanh,
        "sigmoid": _sigmoid,
        "relu6": lambda x: np.clip(x, 0.0, 6.0),
        "leaky relu (0.01)": lambda x: np.where(x > 0, x, 0.01 * x),
        "leaky relu (0.1)": lambda x: np.where(x > 0, x, 0.1 * x),
        "leaky relu (0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
        "squared relu": lambda x: np.square(np.maximum(x, 0.0)),
        "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
        "selu": lambda x: (
            1.0507009873554805
            * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0)))
        ),
        "celu": lambda x: np.maximum(x, 0.0) + np.minimum(np.expm1(x), 0.0),
        "mish": lambda x: x * np.tanh(_softplus(x)),
        "softplus": _softplus,
        "softsign": lambda x: x / (1.0 + np.abs(x)),
        "hard sigmoid (x / 6 + 1 / 2)": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
        "hard sigmoid (0.2 x + 1 / 2)": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
        "hard swish": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
        "hard tanh (clipped to [-1, 1])": lambda x: np.clip(x, -1.0, 1.0),
        "clipped to [0, 1]": lambda x: np.clip(x, 0.0, 1.0),
        "log sigmoid": lambda x: -_softplus(-x),
        "softmax over the last axis": _softmax,
    }
)
ELEMENTWISE = tuple(name for name in FUNCTIONS if not name.startswith("softmax"))


def slope(name: str, x: Numbers) -> Numbers:
    """The derivative of a function of single elements, by a central difference."""
    function = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        return (function(x + _NUDGE) - function(x - _NUDGE)) / (2 * _NUDGE)
