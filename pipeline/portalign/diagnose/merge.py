"""One cause that shows in many places is one finding with a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portalign.findings import Finding, FindingKind


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings of one rule and one claim put together, in the order of their first places.

    The evidence is that of the place where the repair left most; what is proved and what is a hint
    are kept apart, and what is unexplained by what was ruled out.
    """
    found: dict[tuple[object, ...], Finding] = {}
    for one in findings:
        is_open = one.kind is FindingKind.UNEXPLAINED
        said = (one.rule, one.kind, one.claim, one.remedy, one.is_confirmed)
        key = (*said, one.ruled_out if is_open else ())
        known = found.get(key)
        if known is None:
            found[key] = one
            continue
        where = tuple(dict.fromkeys((*known.where, *one.where)))
        weakest = one if one.after > known.after else known
        found[key] = replace(weakest, where=where)
    return tuple(found.values())
