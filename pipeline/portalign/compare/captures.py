"""Compare all that two ordinary captures hold, each kind of record by its own rules."""

from __future__ import annotations

from collections.abc import Iterator

from portalign.compare.curves import compare_curve
from portalign.compare.draws import as_draw
from portalign.compare.drift import asymmetry, comes_of_faithful, kernel_tolerance
from portalign.compare.pairs import as_data, compare
from portalign.compare.scales import Scales
from portalign.compare.scores import allowance
from portalign.mapping.pair import Pairing
from portalign.records import Kind
from portalign.results import Comparison

_CURVES = (Kind.LR, Kind.METRIC)


def compare_all(pairing: Pairing, *, n_faithful: int = 0) -> Iterator[Comparison]:
    """Judge every native pair, in the pairing's order, with its twin where it has one.

    Args:
        n_faithful: the first so many training iterations are known to do the same on the same
            state; what comes out of them may have drifted.
    """
    scales = Scales(pairing.pairs)
    judged: list[Comparison] = []
    for order, each in enumerate(pairing.pairs):
        key = each.reference.key
        if key.kind in _CURVES:
            yield compare_curve(
                each.reference.array,
                each.candidate.array,
                key=key,
                label=each.label,
                how_paired=each.how,
                order=order,
            )
            continue
        twin = pairing.twin(each)
        found = compare(
            each.reference.array,
            each.candidate_values(),
            key=key,
            candidate_key=each.candidate.key,
            label=each.label,
            how_paired=each.how,
            twins=(twin.reference.array, twin.candidate_values()) if twin else None,
            tolerance=kernel_tolerance(key) or (None if twin else allowance(each, judged)),
            scale=scales.of(each) if twin else scales.of_sum(each),
            asymmetry=asymmetry(each),
            may_drift=comes_of_faithful(key, n_faithful),
            module_type=each.reference.module_type,
            order=order,
        )
        if key.kind is Kind.PREDICTION:
            judged.append(found)
        if key.kind is Kind.DRAW:
            found = as_draw(found, each.reference.array, each.candidate.array)
        yield as_data(found) if key.kind is Kind.INPUT else found
