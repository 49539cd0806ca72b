"""Class weights of a loss: missing on one side, or other ones. They are read off the gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.cross_entropy import shares_of, slope_of
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import nice

_ALIKE = 1e-6  # between labels of one class
_LEAST = 2  # labels more than classes, for every weighting of labels is one of classes otherwise
_SHOWN = 8  # weights


def _weigh(kept: Numbers, value: Value, reading: Reading) -> Numbers:
    labels = reading.tensors["labels"].astype(np.int64)
    named = labels[..., labels.shape[-1] - kept.shape[-1] :]
    return np.asarray(kept * np.asarray(value)[np.where(kept > 0, named, 0)])


def _values(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    found = _read_off(reading, int(chosen.get("loss-shift", 0)))
    if found is None:
        return
    if chosen.get("loss-reduction") == "sum":
        yield tuple(map(_plain, found))
        yield tuple(found)
        return
    scaled = list(_scaled(found))
    yield min((tuple(map(_plain, each)) for each in scaled), key=_n_digits)
    yield tuple(scaled[0])


def _read_off(reading: Reading, later: int) -> Numbers | None:
    """What a label of each class counts in the first batch, 1 for classes that it lacks; None where
    that isn't a matter of the class, or all count the same.
    """
    scores, labels = reading.tensors["scores"], reading.tensors["labels"].astype(np.int64)
    n_first = len(labels) // int(reading.tensors["batches"])
    n_classes, n_places = scores.shape[-1], labels.shape[-1] - later
    cut = (slice(n_first), *[slice(None)] * (labels.ndim - 2), slice(n_places))
    if labels.ndim < 2:
        cut = (slice(n_first),)
    named = labels[:n_first][..., later:].ravel()
    off = shares_of(scores[cut]).reshape(-1, n_classes)
    slope = slope_of(reading)[cut].reshape(-1, n_classes)
    is_class = (named >= 0) & (named < n_classes)
    named, off, slope = named[is_class], off[is_class], slope[is_class]
    off = off - np.eye(n_classes)[named]
    counts = (slope * off).sum(-1) / (off * off).sum(-1)
    classes = np.unique(named)
    if len(named) < len(classes) + _LEAST:
        return None
    found = np.ones(n_classes)
    for each in classes:
        of_class = counts[named == each]
        if not np.ptp(of_class) <= _ALIKE * np.abs(of_class).max() or not of_class[0] > 0:
            return None
        found[each] = of_class[0]
    seen = found[classes]
    found[np.setdiff1d(np.arange(n_classes), classes)] = seen[0]
    return None if np.ptp(seen) <= _ALIKE * seen.max() else found


def _scaled(weights: Numbers) -> Iterator[Numbers]:
    """The weights up to the factor that a weighted mean doesn't show: one of them is 1, or their
    mean or their sum is.
    """
    units = (weights[0], weights.min(), weights.max(), weights[-1], weights.mean(), weights.sum())
    yield from (weights / unit for unit in units)


def _plain(value: float) -> float:
    return next(nice(float(value)))


def _n_digits(weights: Iterable[float]) -> int:
    return sum(len(f"{each:.6g}") for each in weights)


def _tell(turned: Turned) -> Words:
    ours, theirs = (_told(value) for value in (turned.reference, turned.candidate))
    fitted = {
        f"{side} weight of class {at}": weight
        for side, value in (("reference", turned.reference), ("candidate", turned.candidate))
        for at, weight in enumerate((value or ())[:_SHOWN])
    }
    remedy = "leave the loss's class weights out"
    if turned.reference is not None:
        weights = _listed(turned.reference)
        remedy = f"give the loss weight={weights}; under a mean any multiple is the same"
    return Words(f"the loss weighs {theirs}, the reference's {ours}", remedy, fitted)


def _told(value: Value) -> str:
    return "all classes alike" if value is None else f"its classes by {_listed(value)}"


def _listed(weights: tuple[float, ...]) -> str:
    more = ", ..." if len(weights) > _SHOWN else ""
    return f"[{', '.join(f'{each:.6g}' for each in weights[:_SHOWN])}{more}]"


RULE = Knob(
    name="loss-weights",
    line="class weights of the loss are missing or other ones; they are read off, up to a factor",
    families=("cross-entropy",),
    acts={"kept": _weigh},
    values=_values,
    tell=_tell,
)
