"""Why running statistics of batch norm differ: the share of each batch, its variance, or neither.

Each side is explained by itself, from its own inputs (`compare.statistics`). A finding counts as
confirmed if the candidate's statistics, made again with the reference's share or variance, are the
reference's. What the frameworks are known to keep differently is reported as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.compare.batch_norm import variances
from portalign.compare.statistics import (
    SLOTS,
    Numbers,
    Records,
    Statistics,
    first_iteration,
    statistics,
    still,
)
from portalign.findings import Finding, FindingKind, OriginKind
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Trace
from portalign.results import Comparison, Divergence, Verdict

_Places = Mapping[str, tuple[str, ...]]  # module path -> labels of origins in its buffers
RULE = "batch-norm-statistics"
# What an explanation that holds leaves open, in a ResNet-18: up to 2.5e-13 in float64, up to 2.4e-5
# in float32, where shares come out to 1e-6. A share is written by hand, to two or three digits.
_FITS = 1e-3
_EQUAL = 1e-4
_OF_GAP = 0.01  # a factor is one of the two if it lies so much nearer to it than to the other
_BIASED, _UNBIASED = "biased (1 / n)", "unbiased (1 / (n - 1))"
_CONVENTIONS = {"torch": _UNBIASED, "paddle": _BIASED}
_FALLEN = 1e-3  # of the difference that may be left where the cause is confirmed


@final
@dataclass(frozen=True, slots=True)
class _Made:
    """Statistics made again: with the reference's share or factor, from whose inputs; both sides'
    numbers.
    """

    name: str
    inputs: str
    numbers: tuple[float, float]


def findings(
    pairing: Pairing,
    comparisons: Sequence[Comparison],
    sides: tuple[Trace, Trace],
    divergence: Divergence,
) -> tuple[Finding, ...]:
    """One finding for what is known to differ, and one for each fault, over all layers.

    Args:
        comparisons: of all pairs, in their order, known differences among them.
        sides: reference and candidate.
        divergence: names the places that faults explain.
    """
    records = (sides[0].by_key(), sides[1].by_key())
    frameworks = [trace.info.framework if trace.info else "" for trace in sides]
    places = _by_module(divergence)
    faults: list[Finding] = []
    for pair in variances(pairing):
        if pair.reference.key.iteration == 1:
            faults += _faults(pair, records, (frameworks[0], frameworks[1]), places)
    return (*_known(pairing, comparisons), *_merged(faults))


def with_statistics(found: Iterable[Finding], own: Sequence[Finding]) -> tuple[Finding, ...]:
    """Other findings with these added; a place that these explain is unexplained no more, and what
    the frameworks differ in is no fault there.
    """
    explained = {label for each in own if each.is_confirmed for label in each.where}
    by_frameworks = [each for each in own if each.kind is FindingKind.KNOWN_DIFFERENCE]
    known = {label for each in by_frameworks for label in each.where}
    others = []
    for each in found:
        told = explained if each.kind is FindingKind.UNEXPLAINED else known & explained
        left = tuple(label for label in each.where if label not in told)
        if left or not each.where:
            others.append(replace(each, where=left))
    return (*own, *others)


def _known(pairing: Pairing, comparisons: Sequence[Comparison]) -> list[Finding]:
    found = [
        one
        for pair, one in zip(pairing.pairs, comparisons, strict=False)
        if one.verdict is Verdict.KNOWN and pair.reference.key.slot in SLOTS
    ]
    if not found:
        return []
    worst = max(found, key=lambda one: (one.twin or one.native).rel_frobenius)
    before = (worst.twin or worst.native).rel_frobenius
    layers = {one.key.path for one in found}
    return [
        Finding(
            RULE,
            FindingKind.KNOWN_DIFFERENCE,
            tuple(one.label for one in found),
            f"the running variance of {len(layers)} batch norm layers is unbiased in torch and "
            "biased in paddle: the ratio of a batch's part is n / (n - 1) in every channel",
            f"converted with that ratio all {len(found)} pass as equal but for rounding; before, "
            f"{worst.label} differed by {before:.1e}",
            "nothing to mend while training; where the trained model is evaluated, the candidate's "
            "variances are (n - 1) / n of the reference's",
            before=before,
            is_confirmed=True,
        )
    ]


def _faults(
    pair: Pair, records: tuple[Records, Records], frameworks: tuple[str, str], places: _Places
) -> Iterator[Finding]:
    """What is wrong with one layer's statistics in the first iteration."""
    where = places.get(pair.reference.key.path, ())
    keys = (pair.reference.key, pair.candidate.key)
    first = [first_iteration(each, key) for each, key in zip(records, keys, strict=True)]
    inputs = "candidate's own"
    if where and first[0] is not None and first[1] is None:
        first[1], inputs = still(records[1], keys[1], first[0]), "reference's"
    if not where or first[0] is None or first[1] is None:
        return
    reference, candidate = statistics(first[0]), statistics(first[1])
    if not (_explains(reference) and _explains(candidate)):
        return
    repaired = first[1].made(share=reference.share, factor=reference.factor)
    if abs(candidate.share - reference.share) > _EQUAL:
        claim, remedy = _of_share(reference, candidate, frameworks[1])
        means = (first[0].mean[1], first[1].mean[1], repaired[0])
        numbers = (reference.share, candidate.share)
        yield _fault(where, claim, remedy, means, _Made("share", inputs, numbers))
    names = tuple(map(_of_factor, (reference, candidate)))
    is_meant = dict(zip(frameworks, names, strict=True)) == _CONVENTIONS
    if names[0] != names[1] and candidate.share and not is_meant:
        claim = f"running variance: {names[1]} on the candidate, on the reference {names[0]}"
        spreads = (first[0].variance[1], first[1].variance[1], repaired[1])
        numbers = (reference.factor, candidate.factor)
        remedy = "keep the reference's variance"
        yield _fault(where, claim, remedy, spreads, _Made("factor", inputs, numbers))


def _explains(read: Statistics) -> bool:
    return read.misfit <= _FITS or not read.share  # frozen statistics leave nothing to explain


def _of_share(reference: Statistics, candidate: Statistics, framework: str) -> tuple[str, str]:
    shares = f"{candidate.share:.6g} of each batch, the reference {reference.share:.6g}"
    if not candidate.share:
        return (
            "the candidate's running statistics don't change while it trains",
            "let the layer train, and call the layer itself: no eval(), no frozen statistics "
            "(use_global_stats), no functional batch norm that is given none, or copies of them",
        )
    momentum = reference.share if framework == "torch" else 1.0 - reference.share
    is_turned = abs(candidate.share + reference.share - 1.0) < _EQUAL
    why = ": momentum read the other way round" * is_turned
    return f"running statistics take {shares}{why}", f"set momentum={momentum:.6g}"


def _of_factor(read: Statistics) -> str:
    gap = 1.0 / max(read.n - 1, 1)  # between the two factors
    for name, factor in ((_BIASED, 1.0), (_UNBIASED, 1.0 + gap)):
        if abs(read.factor - factor) < _OF_GAP * gap:
            return name
    return f"{read.factor:.6g} times the biased one"


def _fault(
    where: tuple[str, ...],
    claim: str,
    remedy: str,
    arrays: tuple[Numbers, Numbers, Numbers],
    made: _Made,
) -> Finding:
    """A cause, confirmed if the repaired values are the reference's: arrays are reference's,
    candidate's, repaired.
    """
    wanted, found, repaired = arrays
    size = float(np.linalg.norm(wanted))
    before, after = (float(np.linalg.norm(each - wanted)) / size for each in (found, repaired))
    return Finding(
        RULE,
        FindingKind.CAUSE,
        where,
        claim,
        f"made again from the {made.inputs} inputs with the reference's {made.name}, the relative "
        f"difference falls from {before:.1e} to {after:.1e}",
        remedy,
        dict(zip((f"reference {made.name}", f"candidate {made.name}"), made.numbers, strict=True)),
        before,
        after,
        is_confirmed=after <= _FALLEN * before,
    )


def _merged(faults: Sequence[Finding]) -> list[Finding]:
    """Equal claims as one finding over all their places, with the worst layer's numbers."""
    found: dict[str, Finding] = {}
    for each in faults:
        known = found.get(each.claim)
        if known is None:
            found[each.claim] = each
            continue
        worse = max(known, each, key=lambda one: one.before)
        where = dict.fromkeys((*known.where, *each.where))
        confirmed = known.is_confirmed and each.is_confirmed
        found[each.claim] = replace(worse, where=tuple(where), is_confirmed=confirmed)
    return list(found.values())


def _by_module(divergence: Divergence) -> _Places:
    found: dict[str, tuple[str, ...]] = {}
    for place in divergence.places:
        if place.kind is OriginKind.TRAINING:
            found[place.path] = (*found.get(place.path, ()), place.label)
    return found
