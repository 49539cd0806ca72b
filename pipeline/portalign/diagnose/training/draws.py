"""Dropout with another rate: both sides' random draws say with which probability they keep."""

from __future__ import annotations

from portalign.diagnose.evidence import Evidence
from portalign.diagnose.rules.dropout_rate import of_rates
from portalign.diagnose.words import nice
from portalign.findings import Finding
from portalign.records import Kind

_KEEP = "keep"


def explain_draws(evidence: Evidence) -> dict[str, Finding]:
    """A finding for each draw of dropout whose probabilities differ, by the label of the pair.

    The claim is that of the module whose output is scaled by its rate, so both are one finding.
    """
    begun = {place.label for place in evidence.divergence.places}
    found = {}
    for pair in evidence.pairing.pairs:
        key = pair.reference.key
        if key.kind is not Kind.DRAW or key.slot != _KEEP or pair.label not in begun:
            continue
        shapes = [record.array[1:].tolist() for record in (pair.reference, pair.candidate)]
        rates = [_rate(record.array[0]) for record in (pair.reference, pair.candidate)]
        if shapes[0] != shapes[1] or rates[0] == rates[1]:
            continue
        cause = of_rates(*rates)
        found[pair.label] = Finding(
            cause.rule,
            cause.kind,
            (pair.label,),
            cause.claim,
            f"recorded where both sides drew: each element stays with probability "
            f"{1 - rates[0]:.6g} in the reference and {1 - rates[1]:.6g} in the candidate",
            cause.remedy,
            dict(cause.fitted),
            abs(rates[1] - rates[0]) / (1 - rates[0]),
            0.0,
            is_confirmed=True,
        )
    return found


def _rate(keep: float) -> float:
    return next(nice(1.0 - float(keep)))
