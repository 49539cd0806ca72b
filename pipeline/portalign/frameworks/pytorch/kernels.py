"""Kernels of torch that compute in float32 whatever they are given, and the same in float64.

Twin of `paddlepaddle.kernels`, where there are more of them. Measured with torch 2.13 on a CPU
against the formula in float64; tests/test_kernels.py measures again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Floor:
    """What a kernel loses in float64.

    Attributes:
        functions: names of it that a function mode is told.
        size: greatest relative difference seen (Frobenius norm).
        why: what of it is float32.
        exact: the same in float64.
    """

    functions: tuple[Callable[..., Any], ...]
    size: float
    why: str
    exact: Callable[..., torch.Tensor]


def _hardsigmoid(x: torch.Tensor) -> torch.Tensor:
    return torch.clamp(x / 6 + 0.5, 0.0, 1.0)


def _celu(x: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0.0) / alpha))


FLOORS = (
    Floor(
        (F.hardsigmoid, torch._C._nn.hardsigmoid),
        3.0e-8,
        "multiplies the gradient by 1 / 6 in float32",
        _hardsigmoid,
    ),
    Floor((F.celu, torch.celu), 9.9e-9, "multiplies the gradient by 1 / alpha in float32", _celu),
)
_BY_FUNCTION = {function: floor for floor in FLOORS for function in floor.functions}


def exact(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], notes: list[str]
) -> torch.Tensor | None:
    """What a function gives with float64 constants; None where its own do.

    Args:
        notes: gets one sentence for each kernel that was evened out.
    """
    floor = _BY_FUNCTION.get(function)
    if floor is None or not args or args[0].dtype is not torch.float64:
        return None
    is_in_place = kwargs.get("inplace", False) or any(value is True for value in args[1:])
    given = {name: value for name, value in kwargs.items() if name != "inplace"}
    numbers = [value for value in args[1:] if not isinstance(value, bool)]
    source = args[0].clone() if is_in_place else args[0]
    found = floor.exact(source, *numbers, **given)
    note = (
        f"torch's {function.__name__} {floor.why}, {floor.size:.1g} in float64, backward; "
        "its twin doesn't"
    )
    if note not in notes:
        notes.append(note)
    return args[0].copy_(found) if is_in_place else found
