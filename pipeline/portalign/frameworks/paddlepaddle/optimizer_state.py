"""What a paddle optimizer keeps between updates, read and written by the names of
`frameworks.slots`.

Twin of `pytorch.optimizer_state`. Paddle keeps powers of beta where torch keeps a step count; the
count is read off the powers. Its RMSProp keeps the momentum times the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import paddle

from portalign.frameworks.paddlepaddle.modules import from_numpy
from portalign.frameworks.slots import NUMBERS, UNTOUCHED, powers, step_count
from portalign.records import Array

Named = Mapping[str, Any]
_MOMENTS: Final = {"moment1": "m", "moment2": "v", "moment2_max": "v_max"}
# accumulator -> slot, by class
_SLOTS: Final[Mapping[str, Mapping[str, str]]] = {
    "Momentum": {"velocity": "momentum"},
    "Adam": _MOMENTS,
    "AdamW": _MOMENTS,
    "Lamb": _MOMENTS,
    "Adamax": {"moment": "m", "inf_norm": "norm_max"},
    "NAdam": {**_MOMENTS, "mu_product": "momentum_product"},
    "RAdam": _MOMENTS,
    "Adagrad": {"moment": "square_sum"},
    "Adadelta": {
        "_avg_squared_grad": "square_average",
        "_avg_squared_update": "update_average",
    },
    "RMSProp": {
        "mean_square": "square_average",
        "mean_grad": "gradient_average",
        "momentum": "momentum",
    },
    "Rprop": {"prevs": "previous_gradient", "learning_rates": "step_sizes"},
}
# accumulator -> power; those called *_acc are one factor ahead, NAdam's and RAdam's are not
_POWERS: Final = {
    "beta1_pow_acc": "beta1_power",
    "beta2_pow_acc": "beta2_power",
    "beta1_pow": "beta1_power",
    "beta2_pow": "beta2_power",
}
_DERIVED: Final = ("momentum_decay_pow", "rho")


def read(
    optimizer: paddle.optimizer.Optimizer, parameters: Named
) -> Iterator[tuple[str, str, paddle.Tensor | float]]:
    """Parameter name, slot and value of all that is kept, in the order of the parameters."""
    slots = _SLOTS.get(type(optimizer).__name__, {})
    for name, parameter in parameters.items():
        found: dict[str, float] = {}
        betas = _betas(optimizer, parameter)
        for own, kept in optimizer._accumulators.items():
            value = kept.get(parameter.name)
            if value is None or own in _DERIVED or not _is_used(optimizer, own):
                continue
            if own in _POWERS:
                ahead = betas[_POWERS[own]] if own.endswith("_acc") else 1.0
                found[_POWERS[own]] = _first(value) / ahead if ahead else 0.0
            elif (slot := slots.get(own, own)) in NUMBERS:
                yield name, slot, _first(value)
            else:
                yield name, slot, value / _scale(optimizer, parameter, own)
        if found:
            step = step_count(found, {power: betas[power] for power in found})
            for slot, number in {**powers(step, {}), **found}.items():
                if not math.isnan(number):
                    yield name, slot, number


def write(
    optimizer: paddle.optimizer.Optimizer,
    parameters: Named,
    values: Mapping[str, Mapping[str, Array]],
) -> None:
    """Put values in the place of all that is kept for each named parameter.

    Slots that the optimizer has and nobody gives start as in a fresh one; slots that it doesn't
    have are left out. A parameter without values keeps nothing. The optimizer must be fresh.
    """
    known = held(optimizer)
    given = {n: p for n, p in parameters.items() if values.get(n) and id(p) in known}
    block = paddle.base.framework.default_main_program().global_block()
    optimizer._create_accumulators(block, list(given.values()))
    slots = _SLOTS.get(type(optimizer).__name__, {})
    for name, parameter in given.items():
        numbers = _numbers(values[name], _betas(optimizer, parameter))
        for own, kept in optimizer._accumulators.items():
            if parameter.name not in kept:
                continue
            target = kept[parameter.name]
            slot = slots.get(own, own)
            if own in _POWERS:
                ahead = _betas(optimizer, parameter)[_POWERS[own]] if own.endswith("_acc") else 1.0
                _fill(target, numbers[_POWERS[own]] * ahead)
            elif own in _DERIVED:
                _fill(target, _derived(own, optimizer, numbers["step"]))
            elif slot in NUMBERS:
                _fill(target, numbers[slot])
            elif slot in values[name]:
                array = np.asarray(values[name][slot]).reshape(target.shape)
                scale = _scale(optimizer, parameter, own)
                target.set_value(from_numpy(array).astype(target.dtype) * scale)


def held(optimizer: paddle.optimizer.Optimizer) -> frozenset[int]:
    """Ids of the parameters that the optimizer updates, with or without groups."""
    groups = optimizer._param_groups or []
    lists = [each["params"] if isinstance(each, dict) else [each] for each in groups]
    return frozenset(id(parameter) for each in lists for parameter in each)


def _numbers(given: Mapping[str, Array], betas: Mapping[str, float]) -> dict[str, float]:
    """Every number that an update may need; powers that nobody gives follow from the step count."""
    numbers = {name: float(given[name]) for name in NUMBERS if name in given}
    known = {name: numbers[name] for name in betas if name in numbers}
    step = numbers.get("step", step_count(known, {n: betas[n] for n in known}) if known else 0.0)
    return {**UNTOUCHED, **powers(step, betas), **numbers}


def _derived(own: str, optimizer: paddle.optimizer.Optimizer, step: float) -> float:
    """What follows from the step count and is kept all the same, as paddle 3.3.1's kernels do."""
    if own == "momentum_decay_pow":
        return float(0.96**step)
    beta, rho = float(np.float32(optimizer._beta2)), 1.0
    for n in range(1, int(step) + 1):
        rho = (rho * (beta - beta**n) + beta**n) / (1.0 - beta**n)
    return rho


def _is_used(optimizer: paddle.optimizer.Optimizer, own: str) -> bool:
    """RMSProp keeps a momentum and a mean gradient that its options may leave unused."""
    if type(optimizer).__name__ != "RMSProp":
        return True
    options = {"momentum": optimizer._momentum, "mean_grad": optimizer._centered}
    return bool(options.get(own, True))


def _scale(optimizer: paddle.optimizer.Optimizer, parameter: Any, own: str) -> float:
    if type(optimizer).__name__ != "RMSProp" or own != "momentum":
        return 1.0
    return float(optimizer.get_lr()) * float(parameter.optimize_attr["learning_rate"]) or 1.0


def _betas(optimizer: paddle.optimizer.Optimizer, parameter: Any) -> dict[str, float]:
    found = {}
    for name in ("beta1", "beta2"):
        value = getattr(optimizer, f"_{name}", None)
        for group in optimizer._param_groups or []:
            if isinstance(group, dict) and any(p is parameter for p in group["params"]):
                value = group.get(name, value)
        if value is not None:
            found[f"{name}_power"] = float(value)
    return found


def _first(value: paddle.Tensor) -> float:
    return float(value.numpy().ravel()[0])


def _fill(target: paddle.Tensor, number: float) -> None:
    target.set_value(paddle.full(target.shape, number, dtype=target.dtype))
