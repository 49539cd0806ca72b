"""Could this check have failed at all? Each rule looks for one way to pass while proving nothing.

A rule returns None or the sentence that explains itself; a step with a reservation can't pass. The
rules see numbers and facts of both sides only, and every one has a test in which it fires and one
in which it must not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from portalign.records import Array, Kind, SideInfo
from portalign.results import Comparison, Reservation

# A curve that moves less than this, relative to its size, hides every fault of what should move it:
# it is a few units in the last place of float32.
_STILL = 1e-6
# Elements looked at when asking what a random candidate would differ by: a mean good to a percent.
_SAMPLE = 10_000
_END_STOPS = (0.0, 1.0, 100.0)  # the last for a metric in per cent
_USUAL_MEAN = 1e-6  # the port file's default `tolerance: mean:`


def same_side(
    reference: SideInfo, candidate: SideInfo, declared: tuple[str, str]
) -> Reservation | None:
    """Both sides are one function or one model, or ran in one framework where the port names two.

    One model in two versions of a framework, or on two devices, is a fair comparison.
    """
    ran = (reference.framework, candidate.framework)
    if ran != declared:
        return Reservation(
            "same-side",
            f"the port declares {declared[0]} against {declared[1]}, but {ran[0]} ran against "
            f"{ran[1]}: a side compared with itself always agrees. Correct `framework:` and "
            "`build:`",
        )
    places = [(s.framework, s.framework_version, s.device) for s in (reference, candidate)]
    if places[0] != places[1]:
        return None
    name = reference.source.rpartition(":")[2]
    is_same = name == candidate.source.rpartition(":")[2]
    if is_same and reference.source_sha256 == candidate.source_sha256:
        return Reservation(
            "same-side",
            f"both sides are built by the same function {name}() of the same code: a model "
            "compared with itself always agrees. Point the candidate's `build:` at the port",
        )
    if reference.weights_sha256 != candidate.weights_sha256:
        return None  # one architecture, two sets of weights: agreement is no matter of course
    if reference.model_sha256 and reference.model_sha256 == candidate.model_sha256:
        return Reservation(
            "same-side",
            f"{_short(reference)} and {_short(candidate)} return the same model: the same classes "
            "of the same files, and the same settings, configurations and functions in every "
            "module. A model compared with itself always agrees. Let the candidate's `build:` "
            "return the port",
        )
    return None


def same_file(reference: Path, candidate: Path) -> Reservation | None:
    """Both dumps are one file (or folder), by whatever name or link it is reached."""
    if not (reference.exists() and candidate.exists() and reference.samefile(candidate)):
        return None
    return Reservation(
        "same-file",
        f"{reference} and {candidate} are the same file: a dump compared with itself always "
        "agrees. Name the other side's dump",
    )


def constant_curve(values: Array, *, what: str, needed: str) -> Reservation | None:
    """A learning rate or loss that never moves. A single point can't move and is no curve."""
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if finite.size < 2:
        return None
    spread, size = float(np.ptp(finite)), float(np.abs(finite).max())
    if spread > _STILL * size:
        return None
    rule = f"constant-{what.lower().replace(' ', '-')}"
    return Reservation(rule, f"the {what} is {finite[0]:g} at all {finite.size} points: {needed}")


def saturated_metric(name: str, value: float, predicted_classes: int) -> Reservation | None:
    """A metric at its end stop, or predictions that name one class only, hide most differences."""
    if value in _END_STOPS:
        return Reservation(
            "saturated-metric",
            f"{name} is {value:g}: a candidate that is a little wrong would score the same. Use "
            "data (or a reference) on which the metric lies between its ends",
        )
    if predicted_classes == 1:
        return Reservation(
            "one-class",
            f"every prediction names the same class, so {name} only counts labels. Use a reference "
            "that tells the classes apart",
        )
    return None


def unmoved_weights(before: Mapping[str, Array], after: Mapping[str, Array]) -> Reservation | None:
    """No weight changed over all iterations, so neither gradients nor optimizer were tested."""
    common = sorted(before.keys() & after.keys())
    if not common or any(not np.array_equal(before[name], after[name]) for name in common):
        return None
    return Reservation(
        "unmoved-weights",
        f"none of {len(common)} weights changed over the iterations: gradients, clipping and the "
        "optimizer were not tested. Check the learning rate at these iterations (warm-up may start "
        "at 0)",
    )


def zero_gradients(comparisons: Sequence[Comparison]) -> Reservation | None:
    """Every gradient is zero on both sides."""
    norms = [
        max(c.native.norm_reference, c.native.norm_candidate)
        for c in comparisons
        if c.key.kind is Kind.GRADIENT and c.native.n_compared  # all NaN is another matter
    ]
    if not norms or any(norm != 0.0 for norm in norms):
        return None
    return Reservation(
        "zero-gradients",
        f"all {len(norms)} gradients are zero on both sides: a wrong backward pass would not show. "
        "Check that the loss depends on the model",
    )


def loss_alone(found: frozenset[Kind]) -> Reservation | None:
    """A training of which losses were compared and no gradient."""
    if Kind.LOSS not in found or Kind.GRADIENT in found:
        return None
    return Reservation(
        "loss-only",
        "a loss curve alone doesn't show a wrong activation: tanh instead of erf in one GELU of "
        "four moves it by less than 3e-6 in sixty iterations. Compare gradients as well "
        "(`record: auto`)",
    )


def missing_kinds(found: frozenset[Kind], promised: Sequence[Kind]) -> Reservation | None:
    """The step promises comparisons of these kinds and made none of some."""
    missing = [kind.value for kind in promised if kind not in found]
    if not missing:
        return None
    return Reservation(
        "too-few-keys",
        f"nothing was compared of: {', '.join(missing)}. A step that leaves out what it promises "
        "proves nothing about it",
    )


def loose_tolerance(name: str, reference: Array, tolerance: float) -> Reservation | None:
    """A shuffled reference output would stay within the mean tolerance: a random candidate too.

    Shuffling stands for a candidate with the right distribution and the wrong values. Outputs whose
    elements are all equal, or that aren't floating, say nothing and raise nothing; nor do
    infinities.
    """
    values = np.asarray(reference).ravel()
    if values.dtype.kind in "iubc" or values.size < 2:
        return None
    sample = values[:: max(1, values.size // _SAMPLE)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None
    shuffled = np.random.default_rng(0).permutation(sample)
    difference = float(np.abs(sample - shuffled).mean())
    if not (0.0 < difference <= tolerance):
        return None
    return Reservation(
        "loose-tolerance",
        f"`tolerance: mean: {tolerance:g}` lets {name} pass even when its elements are shuffled "
        f"(mean difference {difference:.1e}): a random candidate would pass. Tighten it",
    )


def boundless_tolerance(name: str, values: Array, tolerance: float) -> Reservation | None:
    """A mean tolerance above the default that is larger than every value it is held against.

    The default is nobody's choice, and a learning rate may well be smaller than it.
    """
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if tolerance <= _USUAL_MEAN or not finite.size:
        return None
    largest = float(np.abs(finite).max())
    if not largest <= tolerance:
        return None
    return Reservation(
        "loose-tolerance",
        f"`tolerance: mean: {tolerance:g}` is no smaller than any {name} ({largest:.3g} at most): "
        "a candidate that gives zero everywhere would pass. Tighten it",
    )


def _short(side: SideInfo) -> str:
    """The build function without its folder: "b.py:build" for "/a/b.py:build"."""
    return side.source.rpartition("/")[2]
