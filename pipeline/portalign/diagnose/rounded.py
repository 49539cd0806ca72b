"""Outputs that one side rounds through a narrower type: casts that the float64 twins don't make.

The twins agree there, so no repair in float64 can show it; the native values do.
"""

from __future__ import annotations

import numpy as np

from portalign.diagnose.confirm import relative
from portalign.diagnose.evidence import Evidence, Numbers
from portalign.diagnose.low import LOW, through
from portalign.findings import Finding, FindingKind, Origin
from portalign.results import Verdict

# A value that lies within a float32 step of the middle between two narrow ones may be rounded the
# other way: 2^-16 of all values for bfloat16, 2^-13 for float16. Several operations make it more.
_SAME = 0.99


def explain_rounded(evidence: Evidence) -> dict[str, Finding]:
    """Findings on outputs that lose precision, by the label of the origin."""
    imprecise = {c.label for c in evidence.comparisons if c.verdict is Verdict.PRECISION}
    pairs = {pair.label: pair for pair in evidence.pairing.pairs if pair.label in imprecise}
    found = {}
    for origin in evidence.divergence.places:
        if pair := pairs.get(origin.label):
            ours, theirs = (
                np.asarray(each, np.float64)
                for each in (pair.reference.array, pair.candidate_values())
            )
            if finding := _finding(origin, ours, theirs):
                found[origin.label] = finding
    return found


def _finding(origin: Origin, ours: Numbers, theirs: Numbers) -> Finding | None:
    for name, low in LOW.items():
        for sides, side in (((ours, theirs), "candidate"), ((theirs, ours), "reference")):
            exact, found = sides
            rounded = through(exact, name)
            share = _share(found, exact, rounded, low)
            if share < _SAME:
                continue
            before, after = relative(theirs, ours), relative(rounded, found)
            return Finding(
                "output-rounded",
                FindingKind.CAUSE,
                (origin.label,),
                f"the {side} rounds what it makes through {name}",
                f"every value is one of {name}, {share:.2%} are the other side's rounded, bit for "
                f"bit: the relative difference there falls from {before:.1e} to {after:.1e}",
                "keep it in full precision" if side == "candidate" else "round it likewise",
                {"share rounded alike": share},
                before,
                after,
                is_confirmed=True,
            )
    return None


def _share(found: Numbers, exact: Numbers, rounded: Numbers, low: type) -> float:
    """Share of values that are the exact side's, rounded; 0 where it isn't that rounding."""
    is_narrow = np.array_equal(found.astype(low).astype(np.float64), found)
    is_other = not np.array_equal(exact.astype(low).astype(np.float64), exact)
    return float((found == rounded).mean()) if is_narrow and is_other and found.size else 0.0
