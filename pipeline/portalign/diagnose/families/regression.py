"""A loss of single elements of an output and a target: its value, then its gradient.

Squared, absolute, smooth L1 and Huber errors, and the binary cross entropy of scores and of
probabilities. Without a knob it is the mean squared error over all elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np

from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.scored import BATCHES, label_weights
from portalign.findings import OriginKind

_Both = tuple[Numbers, Numbers]  # losses and slopes
_Kind = Callable[[Numbers, Numbers, float], _Both]  # of output, target and bend


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    scores, *batch = site.reference.inputs
    x = np.asarray(scores.array, np.float64)
    n_batches = np.asarray(site.reference.settings.get(BATCHES, 1), np.float64)
    for target in batch:
        if target.array.size != x.size or target.array.shape[:1] != x.shape[:1]:
            continue
        tensors = {
            "output": x,
            "target": np.asarray(target.array, np.float64).reshape(x.shape),
            "batches": n_batches,
        }
        names = {"target": target.name}
        ours, theirs = (Reading(v, tensors, names) for v in (site.reference, site.candidate))
        yield ours, theirs


def _squared(x: Numbers, target: Numbers, _bend: float) -> _Both:
    return (x - target) ** 2, 2.0 * (x - target)


def _absolute(x: Numbers, target: Numbers, _bend: float) -> _Both:
    return np.abs(x - target), np.sign(x - target)


def _huber(x: Numbers, target: Numbers, bend: float) -> _Both:
    off = x - target
    far = np.abs(off) >= bend
    losses = np.where(far, bend * (np.abs(off) - bend / 2), off * off / 2)
    return losses, np.clip(off, -bend, bend)


def _smooth(x: Numbers, target: Numbers, bend: float) -> _Both:
    losses, slopes = _huber(x, target, bend)
    return losses / bend, slopes / bend


def _of_scores(x: Numbers, target: Numbers, _bend: float) -> _Both:
    return np.logaddexp(0.0, x) - target * x, 1.0 / (1.0 + np.exp(-x)) - target


def _of_shares(x: Numbers, target: Numbers, _bend: float) -> _Both:
    losses = -(target * np.log(x) + (1.0 - target) * np.log1p(-x))
    return losses, (x - target) / (x * (1.0 - x))


KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "the squared error (MSE)": _squared,
        "the absolute error (L1)": _absolute,
        "the smooth L1 error": _smooth,
        "the Huber error": _huber,
        "the binary cross entropy of scores": _of_scores,
        "the binary cross entropy of probabilities": _of_shares,
    }
)


def _compute(reading: Reading, run: Run) -> Numbers:
    x, target = reading.tensors["output"], reading.tensors["target"]
    kind = list(KINDS.values())[int(run("kind", np.asarray(0.0)))]
    losses, slopes = kind(x, target, float(run("bend", np.asarray(1.0))))
    counts = run("positive", np.ones(x.shape))
    weights = label_weights(np.ones(x.shape), int(reading.tensors["batches"]), run) * counts
    return np.concatenate([[(weights * losses).sum()], (weights * slopes).ravel()])


FAMILY = Family("regression", _readings, _compute, kinds=frozenset({OriginKind.LOSS}))
