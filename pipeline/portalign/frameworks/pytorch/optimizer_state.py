"""What a torch optimizer keeps between updates, read and written by the names of
`frameworks.slots`.

Twin of `paddlepaddle.optimizer_state`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch

from portalign.frameworks.pytorch.modules import from_numpy
from portalign.frameworks.slots import NUMBERS, UNTOUCHED, powers
from portalign.records import Array

Named = Mapping[str, torch.nn.Parameter]
_SLOTS: Final = {
    "momentum_buffer": "momentum",
    "exp_avg": "m",
    "exp_avg_sq": "v",
    "max_exp_avg_sq": "v_max",
    "exp_inf": "norm_max",
    "mu_product": "momentum_product",
    "sum": "square_sum",
    "square_avg": "square_average",
    "grad_avg": "gradient_average",
    "acc_delta": "update_average",
    "prev": "previous_gradient",
    "step_size": "step_sizes",
}
_OWN: Final = {slot: own for own, slot in _SLOTS.items()}
# The powers of beta that an update is made with; torch computes them from its step count.
_POWERS: Final = {"Adamax": ("beta1_power",), "NAdam": ("beta2_power",)}


def read(
    optimizer: torch.optim.Optimizer, parameters: Named
) -> Iterator[tuple[str, str, torch.Tensor | float]]:
    """Parameter name, slot and value of all that is kept, in the order of the parameters."""
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in parameters.items():
        kept = optimizer.state.get(parameter, {})
        for own, value in kept.items():
            if own != "step" and value is not None:
                yield name, _SLOTS.get(own, own), _plain(value)
        if "step" in kept and id(parameter) in groups:
            betas = _betas(optimizer, groups[id(parameter)])
            for slot, number in powers(float(kept["step"]), betas).items():
                yield name, slot, number


def write(
    optimizer: torch.optim.Optimizer, parameters: Named, values: Mapping[str, Mapping[str, Array]]
) -> None:
    """Put values in the place of all that is kept for each named parameter.

    Slots that the optimizer has and nobody gives start as in a fresh one; slots that it doesn't
    have are left out. A parameter without values keeps nothing.
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in parameters.items():
        given = values.get(name, {})
        if not given or id(parameter) not in groups:
            continue
        known = _slots_of(optimizer, groups[id(parameter)])
        slots = known if known is not None else [s for s in given if not s.endswith("_power")]
        if any(slot in _NOT_FROM_ZERO and slot not in given for slot in slots):
            continue  # as in a fresh one: ASGD makes it from the learning rate
        optimizer.state[parameter] = {
            _OWN.get(slot, slot): _value(slot, parameter, given) for slot in slots
        }


def _slots_of(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> list[str] | None:
    """The slots that torch 2.13 keeps with these options; None for an optimizer it doesn't have."""
    for kind in type(optimizer).__mro__:
        if kind.__name__ in _KEPT and kind.__module__.startswith("torch.optim."):
            always, by_option = _KEPT[kind.__name__]
            return [*always, *(slot for slot, option in by_option.items() if group.get(option))]
    return None


_KEPT: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]] = {
    "SGD": ((), {"momentum": "momentum"}),
    "Adam": (("step", "m", "v"), {"v_max": "amsgrad"}),
    "Adamax": (("step", "m", "norm_max"), {}),
    "NAdam": (("step", "momentum_product", "m", "v"), {}),
    "RAdam": (("step", "m", "v"), {}),
    "Adagrad": (("step", "square_sum"), {}),
    "Adadelta": (("step", "square_average", "update_average"), {}),
    "RMSprop": (
        ("step", "square_average"),
        {"momentum": "momentum", "gradient_average": "centered"},
    ),
    "Rprop": (("step", "previous_gradient", "step_sizes"), {}),
    "ASGD": (("step", "eta", "mu", "ax"), {}),
}

_NOT_FROM_ZERO: Final = ("eta", "mu")


def _value(slot: str, parameter: torch.nn.Parameter, given: Mapping[str, Array]) -> torch.Tensor:
    if slot in NUMBERS:
        return torch.tensor(float(given.get(slot, np.float64(UNTOUCHED[slot]))))
    if slot not in given:
        return torch.zeros_like(parameter)
    values = from_numpy(np.array(given[slot]))
    is_number = values.ndim == 0 and parameter.ndim > 0
    return values if is_number else values.to(dtype=parameter.dtype, device=parameter.device)


def _plain(value: Any) -> torch.Tensor | float:
    if isinstance(value, torch.Tensor):
        return float(value) if value.ndim == 0 else value
    return float(value)


def _betas(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> dict[str, float]:
    betas = group.get("betas", ())
    names = _POWERS.get(type(optimizer).__name__, ("beta1_power", "beta2_power"))
    known = dict(zip(("beta1_power", "beta2_power"), map(float, betas), strict=False))
    return {name: known[name] for name in names if name in known}
