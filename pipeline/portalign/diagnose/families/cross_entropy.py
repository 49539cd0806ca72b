"""Cross entropy of scores and labels: its value, then its gradient at the scores.

Without a knob it is the mean over the labels that are classes; labels that are none, such as -100,
are left out. Of batches whose gradients are accumulated it is the mean of their means.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.family import Family, Reading, Run
from portalign.diagnose.scored import BATCHES, label_weights
from portalign.findings import OriginKind


def _readings(site: Site) -> Iterator[tuple[Reading, Reading]]:
    scores, *batch = site.reference.inputs
    n_batches = np.asarray(site.reference.settings.get(BATCHES, 1), np.float64)
    shape = scores.array.shape
    axes = (-1, 1) if len(shape) > 2 else (-1,)
    for labels in (each for each in batch if each.array.dtype.kind in "iu"):
        for axis in axes:
            if len(shape) > 1 and tuple(np.delete(shape, axis)) == labels.array.shape:
                tensors = {
                    "scores": np.moveaxis(np.asarray(scores.array, np.float64), axis, -1),
                    "labels": np.asarray(labels.array, np.float64),
                    "batches": n_batches,
                }
                names = {"labels": labels.name, "axis": str(axis)}
                views = (site.reference, site.candidate)
                ours, theirs = (Reading(view, tensors, names) for view in views)
                yield ours, theirs


def _compute(reading: Reading, run: Run) -> Numbers:
    scores, labels = reading.tensors["scores"], reading.tensors["labels"].astype(np.int64)
    later = int(run("later", np.asarray(0.0)))  # labels of so many places later
    n_places = labels.shape[-1] - later
    given = scores[..., :n_places, :]  # [..., classes]
    named = labels[..., later:]
    n_classes = scores.shape[-1]
    shown = run("scores", given)
    shares = shares_of(shown)
    is_class = (named >= 0) & (named < n_classes)
    hot = np.zeros((*named.shape, n_classes))
    np.put_along_axis(hot, np.where(is_class, named, 0)[..., None], 1.0, axis=-1)
    soft = _smoothed(hot, float(run("smoothing", np.asarray(0.0))))
    kept = run("kept", is_class.astype(np.float64))  # [...], 1 where a label counts
    weights = label_weights(kept, int(reading.tensors["batches"]), run)
    value = -(weights * (soft * np.log(shares)).sum(-1)).sum()
    slope = weights[..., None] * (shares - soft)
    if shown is not given:  # a softmax before the softmax
        slope = shown * (slope - (slope * shown).sum(-1, keepdims=True))
    whole = np.zeros_like(scores)
    whole[..., :n_places, :] = slope
    turned = np.moveaxis(whole, -1, int(reading.names["axis"]))
    return np.concatenate([[value], turned.ravel()])


def slope_of(reading: Reading) -> Numbers:
    """The gradient at the scores that a side made, classes last."""
    shape = reading.tensors["scores"].shape
    axis = int(reading.names["axis"])
    turned = np.moveaxis(np.empty(shape), -1, axis).shape
    return np.moveaxis(reading.view.target[1:].reshape(turned), axis, -1)


def shares_of(scores: Numbers) -> Numbers:
    """The softmax over the classes, which are the last axis."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _smoothed(hot: Numbers, smoothing: float) -> Numbers:
    """In single precision where the number is one of it."""
    single, n_classes = np.float32(smoothing), hot.shape[-1]
    if float(single) != smoothing:
        return np.asarray((1.0 - smoothing) * hot + smoothing / n_classes)
    shares = float(np.float32(1) - single) * hot + float(single / np.float32(n_classes))
    return np.asarray(shares.astype(np.float32), np.float64)


FAMILY = Family("cross-entropy", _readings, _compute, kinds=frozenset({OriginKind.LOSS}))
