"""The float64 twin of a torch model: its state, its constants, and the casts inside its code.

Casts are intercepted while the twin runs (a `TorchFunctionMode`), the model's code is not edited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from portalign.frameworks.pytorch.kernels import exact
from portalign.frameworks.segments import lifted_as_read

_LOW = frozenset({torch.float32, torch.float16, torch.bfloat16})
_CASTS = frozenset({torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16})
_CAST_TYPES = {"torch.FloatTensor", "torch.HalfTensor", "torch.BFloat16Tensor"}
# Scalar attributes that Paddle's kernels keep in float32; torch keeps them in double. Paddle's
# momentum is the share of the old value: what it rounds is one minus torch's.
_CONSTANTS = ("eps", "negative_slope", "momentum")


def lift(model: torch.nn.Module, *, round_scalars: bool) -> tuple[str, ...]:
    """Turn parameters, buffers and plain tensor attributes to float64 in place.

    Args:
        round_scalars: round norm eps, slopes and momenta of torch.nn modules through float32, as a
            Paddle kernel on the other side does.

    Returns:
        One note per distinct constant rounded, with the modules counted.
    """
    model.double()
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if _is_low(value):
                setattr(module, name, value.double())
    return _round_constants(model) if round_scalars else ()


@contextmanager
def segments(model: torch.nn.Module, *, round_scalars: bool) -> Iterator[tuple[str, ...]]:
    """While open, the model's tensors are lifted as they are read; else as `lift`."""
    notes = _round_constants(model) if round_scalars else ()
    with lifted_as_read(
        model.modules(), is_low=_is_low, lift=torch.Tensor.double, is_written=lambda *_: False
    ):
        yield notes


def _is_low(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in _LOW


def _round_constants(model: torch.nn.Module) -> tuple[str, ...]:
    counts: dict[tuple[str, str, float], int] = {}
    for module in model.modules():
        for name in _constants(module):
            value = getattr(module, name, None)
            if isinstance(value, float) and (rounded := _rounded(name, value)) != value:
                setattr(module, name, rounded)
                key = (type(module).__name__, name, value)
                counts[key] = counts.get(key, 0) + 1
    return tuple(
        f"{kind}.{name} {value:g} rounded through float32 on the torch twin, as paddle keeps it "
        f"({n} modules)"
        for (kind, name, value), n in sorted(counts.items())
    )


def _constants(module: torch.nn.Module) -> tuple[str, ...]:
    """Of torch's own modules all; of a porter's class the momentum, for only batch norm has one."""
    if type(module).__module__.startswith("torch.nn."):
        return _CONSTANTS
    return ("momentum",) if isinstance(module, torch.nn.modules.batchnorm._NormBase) else ()


def _rounded(name: str, value: float) -> float:
    return 1.0 - float(np.float32(1.0 - value)) if name == "momentum" else float(np.float32(value))


@contextmanager
def lifted() -> Iterator[list[str]]:
    """While open, default dtype is float64 and every named lower float dtype means float64.

    Kernels that have float32 constants of their own get float64 ones. Yields a list of notes that
    grows while they run.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _LiftCasts() as mode:
            yield mode.notes
    finally:
        torch.set_default_dtype(default)


class _LiftCasts(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _CASTS:
            return torch.Tensor.double(args[0])
        args = tuple(_raise(value) for value in args)
        kwargs = {name: _raise(value) for name, value in (kwargs or {}).items()}
        found = exact(func, args, kwargs, self.notes)
        return func(*args, **kwargs) if found is None else found


def _raise(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return torch.float64 if value in _LOW else value
    return "torch.DoubleTensor" if isinstance(value, str) and value in _CAST_TYPES else value
