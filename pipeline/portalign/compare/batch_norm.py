"""The running variance of batch norm, which two frameworks keep by two conventions.

Torch takes a batch's variance times n / (n - 1), n elements per channel; paddle takes it as it is,
in train mode and for ever, and nothing of it shows before the model is evaluated. The difference is
recognised by its number: converted with that factor, the candidate's value must pass as any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from portalign.compare.drift import asymmetry, comes_of_faithful
from portalign.compare.pairs import compare
from portalign.compare.scales import Scales
from portalign.compare.statistics import (
    SLOTS,
    Numbers,
    Statistics,
    first_iteration,
    slope,
    statistics,
    wide,
)
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Array, Kind, Trace
from portalign.results import Comparison, Outcome, Verdict
from portalign.store import read_trace

_LAYERS = ("BatchNorm", "SyncBatchNorm")
# Frameworks whose batch norm keeps the unbiased variance, and those that keep the biased one.
_UNBIASED, _BIASED = "torch", "paddle"
# Next to a whole number, for n that is read off.
_WHOLE = 1e-2


@final
@dataclass(frozen=True, slots=True)
class Convention:
    """How the candidate's running variance becomes one by the reference's convention.

    Attributes:
        statistics: of the reference.
        is_reference_unbiased: then a batch's part is multiplied by n / (n - 1), else divided.
        sizes: of the batches, relative to the first, see `relative_sizes`; empty if unknown.
    """

    statistics: Statistics
    is_reference_unbiased: bool
    sizes: tuple[float, ...] = ()

    def converted(
        self, candidate: tuple[Array, Array], reference: tuple[Array, Array], *, iterations: range
    ) -> tuple[Array, int]:
        """The candidate's variance [channels] as the reference would keep it, and n.

        Where the batches don't tell how many elements a channel had, n is read off the ratio of
        both sides' changes, and counts only as a whole number of at least two.

        Args:
            candidate: before and after the iterations, in the candidate's convention.
            reference: the same of the reference; its after only serves to read n.
            iterations: those between before and after.
        """
        old = (1.0 - self.statistics.share) ** (self.statistics.n_calls * len(iterations))
        change = wide(candidate[1]) - old * wide(candidate[0])
        kept = old * wide(reference[0])
        n = self._n(iterations) or self._read_n(change, wide(reference[1]) - kept)
        factor = n / (n - 1) if self.is_reference_unbiased else (n - 1) / n
        return np.asarray((kept + factor * change).astype(candidate[1].dtype)), n

    def _n(self, iterations: range) -> int:
        """Elements per channel in all of these iterations; 0 where that isn't known."""
        found = {self.sizes[k % len(self.sizes)] for k in iterations} if self.sizes else {math.nan}
        n = self.statistics.n * found.pop()
        return int(n) if not found and n >= 2 and n == int(n) else 0

    def _read_n(self, change: Numbers, wanted: Numbers) -> int:
        ratio = slope(change, wanted) if self.is_reference_unbiased else slope(wanted, change)
        n = ratio / (ratio - 1.0) if ratio > 1.0 else math.nan
        return round(n) if n >= 1.5 and abs(n - round(n)) < _WHOLE else self.statistics.n


def conventions(
    pairing: Pairing, reference: Trace, candidate: Trace, batches: Path
) -> dict[str, Convention]:
    """Conventions by the reference's name of the running variance.

    Empty unless one side keeps unbiased variances and the other biased ones. A layer of another
    class than batch norm has none, nor one whose statistics are frozen or weren't recorded.

    Args:
        batches: folder of the trace that both sides were fed from; there need not be one.
    """
    sides = [trace.info.framework if trace.info else "" for trace in (reference, candidate)]
    if set(sides) != {_UNBIASED, _BIASED}:
        return {}
    records = reference.by_key()
    sizes = relative_sizes(read_trace(batches)) if batches.is_dir() else ()
    found = {}
    for pair in variances(pairing):
        if pair.reference.key.iteration == 1:
            first = first_iteration(records, pair.reference.key)
            read = statistics(first) if first else None
            if read is not None and read.n > 1 and read.share > 0.0:
                found[pair.reference.key.name] = Convention(read, sides[0] == _UNBIASED, sizes)
    return found


def relative_sizes(batches: Trace) -> tuple[float, ...]:
    """How large each batch is, the first being 1; NaN where its fields don't agree on that."""
    fields: dict[int, dict[str, int]] = {}
    for record in batches.records:
        if record.key.kind is Kind.INPUT:
            fields.setdefault(record.key.iteration, {})[record.key.path] = record.array.size
    sizes = []
    for index in sorted(fields):
        ratios = {fields[index].get(name, 0) / size for name, size in fields[0].items() if size}
        sizes.append(ratios.pop() if len(ratios) == 1 else math.nan)
    return tuple(sizes)


def variances(pairing: Pairing) -> Iterator[Pair]:
    """Pairs of running variances that both sides' own batch norms keep, in order."""
    for pair in pairing.pairs:
        sides = (pair.reference, pair.candidate)
        if all(r.key.slot in SLOTS and r.module_type.startswith(_LAYERS) for r in sides):
            yield pair


def settle(
    pairing: Pairing,
    comparisons: Sequence[Comparison],
    known: Mapping[str, Convention],
    *,
    n_faithful: int = 0,
) -> tuple[Comparison, ...]:
    """The comparisons; a running variance that passes once it is converted is a known difference.

    Args:
        comparisons: of all pairs, in their order.
        known: by the reference's name of the running variance.
        n_faithful: as in `captures.compare_all`.
    """
    if not known:
        return tuple(comparisons)
    scales = Scales(p for p in pairing.pairs if p.reference.key.kind is Kind.BUFFER)
    before: dict[str, Pair] = {}
    settled = list(comparisons)
    for at, pair in enumerate(pairing.pairs):
        name = pair.reference.key.name
        if pair.reference.key.kind is not Kind.BUFFER or name not in known:
            continue
        if comparisons[at].outcome is Outcome.FAIL and name in before:
            steps = _Steps(pairing, before[name], pair, n_faithful)
            settled[at] = _settled(comparisons[at], steps, known[name], scales.of(pair))
        before[name] = pair
    return tuple(settled)


def settle_grafted(
    one: Comparison, pair: Pair, before: Array, known: Convention, *, scale: float
) -> Comparison:
    """The same for one iteration that both sides begin with the reference's variance.

    Args:
        before: that variance.
        scale: as in `judge`.
    """
    last = pair.reference.key.iteration
    converted, n = known.converted(
        (before, pair.candidate_values()),
        (before, pair.reference.array),
        iterations=range(last - 1, last),
    )
    again = compare(pair.reference.array, converted, key=one.key, scale=scale)
    return forgiven(one, again, known, n)


def forgiven(one: Comparison, again: Comparison, known: Convention, n: int) -> Comparison:
    """A failing variance as a known difference, if it passes once it is converted.

    Args:
        again: the converted one's comparison.
        n: that it was converted with.
    """
    if again.outcome is not Outcome.PASS:
        return one
    sides = (
        ("reference", "candidate") if known.is_reference_unbiased else ("candidate", "reference")
    )
    return replace(
        one,
        verdict=Verdict.KNOWN,
        basis=again.basis,
        outcome=Outcome.PASS,
        allowed=again.allowed,
        used=again.used,
        reason=f"Known difference: the {sides[0]} ({_UNBIASED}) takes a batch's variance times "
        f"n / (n - 1), n = {n}, the {sides[1]} ({_BIASED}) as it is. Converted: {again.reason}",
    )


@final
@dataclass(frozen=True, slots=True)
class _Steps:
    """A variance before and after some iterations, on both sides and in both precisions."""

    pairing: Pairing
    before: Pair
    after: Pair
    n_faithful: int

    @property
    def iterations(self) -> range:
        return range(self.before.reference.key.iteration, self.after.reference.key.iteration)

    def twins(self) -> tuple[Pair, Pair] | None:
        """The float64 ones; an initial state has none and needs none."""
        after = self.pairing.twin(self.after)
        before = self.pairing.twin(self.before) or self.before
        return (before, after) if after else None


def _settled(one: Comparison, steps: _Steps, known: Convention, scale: float) -> Comparison:
    native, n = _converted((steps.before, steps.after), known, steps.iterations)
    lifted = steps.twins()
    twins = None
    if lifted is not None:
        converted, n = _converted(lifted, known, steps.iterations)
        twins = lifted[1].reference.array, converted
    again = compare(
        steps.after.reference.array,
        native,
        key=one.key,
        twins=twins,
        scale=scale,
        asymmetry=asymmetry(steps.after),
        may_drift=comes_of_faithful(one.key, steps.n_faithful),
    )
    return forgiven(one, again, known, n)


def _converted(pairs: tuple[Pair, Pair], known: Convention, iterations: range) -> tuple[Array, int]:
    before, after = pairs
    return known.converted(
        (before.candidate_values(), after.candidate_values()),
        (before.reference.array, after.reference.array),
        iterations=iterations,
    )
