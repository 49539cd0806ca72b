"""Read an optimizer's arguments off the updates it made.

State and update of SGD, momentum, Adam, AdamW and Adagrad are linear in them (or in products of
them), so least squares over all elements and iterations give them. They count only if the
optimizer's formula with them makes everything that was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from portalign.diagnose.known.explained import fits
from portalign.diagnose.known.explained import misfit as distance
from portalign.diagnose.known.updates import End, Numbers, Start
from portalign.diagnose.training.observed import Update
from portalign.diagnose.words import nice

Arguments = Mapping[str, float]
Formula = Callable[[Start, Arguments], End]
# Coefficients that are 0 come out of least squares as 1e-12 at most in float64.
_NOTHING: Final = 1e-9
_NO_EPS: Final = 1e-13
_LEAST: Final = 8  # equations for at most three unknowns at a time
# Paddle's Adam keeps powers of its betas and not a count: it goes on from the reference's.
_BY_POWERS: Final = "by_powers"


@final
@dataclass(frozen=True, slots=True)
class Read:
    """An optimizer as its updates show it.

    Attributes:
        arguments: by their names in port files; ``l2`` is coupled weight decay, switches are 0 or
            1.
        fitted: the same as least squares gave them.
    """

    formula: Formula
    arguments: Arguments
    fitted: Arguments


def read(updates: Sequence[Update], known: Sequence[Read] = ()) -> Read | None:
    """The optimizer behind these updates of one parameter; None where no formula makes them.

    Args:
        known: what was read off other updates; one that makes these too is taken. Updates of few
            elements fit anything, so only these are tried for them.
    """
    moving = [one for one in updates if one.start.rate]
    if not moving:
        return None
    for found in known:
        if all(_fits(one, found.formula(one.start, found.fitted)) for one in moving):
            return found
    if sum(one.weight.size for one in moving) < _LEAST:
        return None
    slots = {name for name, array in moving[0].slots.items() if array.shape}
    for needed, reader, formula in _FAMILIES:
        if slots - {"v_max"} == needed:
            for arguments in reader(moving):
                if all(_fits(one, formula(one.start, arguments)) for one in moving):
                    values = {n: plain(n, v) for n, v in arguments.items() if n != _BY_POWERS}
                    return Read(formula, values, arguments)
    return None


def misfit(updates: Sequence[Update], found: Read) -> float:
    """How far what this optimizer makes of the same starts is from the updates that were recorded:
    the greatest relative distance.
    """
    return max(
        distance(one.start.weight - found.formula(one.start, found.fitted).weight, _taken(one))
        for one in updates
        if one.start.rate
    )


def plain(name: str, value: float) -> float:
    """The value as one would write it."""
    if abs(value) < (_NO_EPS if name == "eps" else _NOTHING):
        return 0.0
    tolerance = 1e-3 if name == "eps" else 1e-6
    close = (each for each in nice(value) if abs(each - value) <= tolerance * abs(value))
    return float(next(close, value))


def _fits(one: Update, end: End) -> bool:
    """Everything that was recorded comes out, and nothing that the formula keeps is missing."""
    if not end.slots.keys() <= one.slots.keys():
        return False
    rounding = float(np.linalg.norm(one.start.weight))
    made = one.start.weight - end.weight
    return fits(made, _taken(one), rounding=rounding) and all(
        fits(array, one.slots[name]) for name, array in end.slots.items()
    )


def _taken(one: Update) -> Numbers:
    return one.start.weight - one.weight


def _solved(columns: Sequence[Numbers], wanted: Numbers) -> Numbers:
    """Least squares with columns of any size; 0 for a column of zeros."""
    table = np.stack(columns, axis=1)
    sizes = np.linalg.norm(table, axis=0)
    scaled = table / np.where(sizes, sizes, 1.0)
    found = np.linalg.lstsq(scaled, wanted, rcond=None)[0]
    return np.asarray(found / np.where(sizes, sizes, 1.0))


def _joined(updates: Sequence[Update], of: Callable[[Update], Numbers]) -> Numbers:
    return np.concatenate([np.ravel(of(one)) for one in updates])


def _slot_before(name: str) -> Callable[[Update], Numbers]:
    return lambda one: one.start.slot(name)


def _slot_after(name: str) -> Callable[[Update], Numbers]:
    return lambda one: one.slots[name]


def _given(updates: Sequence[Update]) -> tuple[Numbers, Numbers, Numbers]:
    """Gradients, weights and steps of all updates, each in a row."""
    return (
        _joined(updates, lambda one: one.start.gradient),
        _joined(updates, lambda one: one.start.weight),
        _joined(updates, lambda one: one.step),
    )


def _sgd(updates: Sequence[Update]) -> Iterator[Arguments]:
    gradient, weight, step = _given(updates)
    yield {"weight_decay": _solved([weight], step - gradient)[0]}


def _sgd_formula(start: Start, a: Arguments) -> End:
    return End(start.weight - start.rate * (start.gradient + a["weight_decay"] * start.weight), {})


def _momentum(updates: Sequence[Update]) -> Iterator[Arguments]:
    gradient, weight, step = _given(updates)
    before, kept = (_joined(updates, of("momentum")) for of in (_slot_before, _slot_after))
    share, _, decay = _solved([before, gradient, weight], kept)
    slope = gradient + decay * weight
    (ahead,) = _solved([kept], step - slope)
    share = share if before.any() else ahead
    for is_nesterov in (0.0, 1.0):
        yield {"momentum": share, "l2": decay, "nesterov": is_nesterov}


def _momentum_formula(start: Start, a: Arguments) -> End:
    slope = start.gradient + a["l2"] * start.weight
    kept = a["momentum"] * start.slot("momentum") + slope
    step = slope + a["momentum"] * kept if a["nesterov"] else kept
    return End(start.weight - start.rate * step, {"momentum": kept})


def _adam(updates: Sequence[Update]) -> Iterator[Arguments]:
    gradient, weight, step = _given(updates)
    m, v = (_joined(updates, _slot_before(name)) for name in ("m", "v"))
    m_after, v_after = (_joined(updates, _slot_after(name)) for name in ("m", "v"))
    _, share, decay = _solved([m, gradient, weight], m_after)
    if not share:
        return
    slope = gradient + decay / share * weight
    beta1, beta2 = 1.0 - share, 1.0 - _solved([v, slope**2], v_after)[1]
    has_max = float("v_max" in updates[0].slots)
    base = {"beta1": beta1, "beta2": beta2, "l2": decay / share, "amsgrad": has_max}
    for corrects, by_powers in ((1.0, 0.0), (1.0, 1.0), (0.0, 0.0)):
        arguments = {**base, "bias_correction": corrects, _BY_POWERS: by_powers}
        mean, root = (
            np.concatenate(
                [np.ravel(_moments(one.start, one.slots, arguments)[at]) for one in updates]
            )
            for at in (0, 1)
        )
        # step = mean / (root + eps) + decay weight, times (root + eps)
        columns = [step, -weight * root, -weight]
        eps, own_decay, _ = _solved(columns, mean - step * root)
        for eps_tried in (eps, plain("eps", eps)):
            yield {**arguments, "eps": eps_tried, "weight_decay": own_decay}


def _moments(start: Start, slots: Mapping[str, Numbers], a: Arguments) -> tuple[Numbers, Numbers]:
    """Mean and root of the spread, of the moments after the update, corrected for their bias."""
    powers = [0.0, 0.0]
    for at, name in enumerate(("beta1", "beta2") if a["bias_correction"] else ()):
        carried = float(start.slots.get(f"{name}_power", np.ones(()))) * a[name]
        powers[at] = carried if a.get(_BY_POWERS) else a[name] ** start.n_updates
    spread = slots["v_max"] if a["amsgrad"] else slots["v"]
    return slots["m"] / (1.0 - powers[0]), np.sqrt(spread / (1.0 - powers[1]))


def _adam_formula(start: Start, a: Arguments) -> End:
    slope = start.gradient + a["l2"] * start.weight
    m = a["beta1"] * start.slot("m") + (1.0 - a["beta1"]) * slope
    v = a["beta2"] * start.slot("v") + (1.0 - a["beta2"]) * slope**2
    slots = {"m": m, "v": v}
    if a["amsgrad"]:
        slots["v_max"] = np.maximum(start.slot("v_max"), v)
    mean, root = _moments(start, slots, a)
    step = mean / (root + a["eps"]) + a["weight_decay"] * start.weight
    return End(start.weight - start.rate * step, slots)


def _adagrad(updates: Sequence[Update]) -> Iterator[Arguments]:
    gradient, weight, step = _given(updates)
    root = np.sqrt(_joined(updates, _slot_after("square_sum")))
    eps, decay = _solved([step, -weight], gradient - step * root)
    fresh = [one for one in updates if "square_sum" not in one.start.slots]
    starts = _joined(
        fresh or updates,
        lambda one: (
            one.slots["square_sum"]
            - one.start.slot("square_sum")
            - (one.start.gradient + decay * one.start.weight) ** 2
        ),
    )
    for eps_tried in (eps, plain("eps", eps)):
        yield {"eps": eps_tried, "l2": decay, "initial_accumulator": float(np.median(starts))}


def _adagrad_formula(start: Start, a: Arguments) -> End:
    slope = start.gradient + a["l2"] * start.weight
    begun = "square_sum" in start.slots
    before = start.slot("square_sum") if begun else a["initial_accumulator"]
    total = before + slope**2
    return End(
        start.weight - start.rate * slope / (np.sqrt(total) + a["eps"]), {"square_sum": total}
    )


FORMULAS: Final[Mapping[str, Formula]] = {
    "sgd": _sgd_formula,
    "momentum": _momentum_formula,
    "adam": _adam_formula,
    "adagrad": _adagrad_formula,
}
_Family = tuple[
    frozenset[str],
    Callable[[Sequence[Update]], Iterator[Arguments]],
    Formula,
]
_FAMILIES: Final[tuple[_Family, ...]] = (
    (frozenset(), _sgd, _sgd_formula),
    (frozenset({"momentum"}), _momentum, _momentum_formula),
    (frozenset({"m", "v"}), _adam, _adam_formula),
    (frozenset({"square_sum"}), _adagrad, _adagrad_formula),
)
