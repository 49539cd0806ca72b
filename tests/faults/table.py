"""The matrix on paper: one line per case, then the counts of every tool and the float64 gap."""

from __future__ import annotations

from collections.abc import Sequence

from faults.matrix import Naming, Result, judged, misnamed
from faults.row import UNEXPLAINED
from portalign.results import Outcome

_TOOLS = ("portalign", "reprod_log", "assert_allclose")


def print_table(results: Sequence[Result]) -> None:
    """Print all lines, faults first."""
    width = max(len(result.case.label) for result in results)
    heads = "step      float64   portalign     reprod_log  allclose  cause        origin"
    print(f"{'case':{width}}  {heads}")
    for result in sorted(results, key=lambda result: result.case.row.is_benign):
        print(_line(result, width))
    print()
    for line in summary(results):
        print(line)


def _line(result: Result, width: int) -> str:
    is_benign = result.case.row.is_benign
    words = ("silent", "flagged") if is_benign else ("missed", "caught")
    own = (
        result.outcome.value
        if result.outcome in (Outcome.ERROR, Outcome.INCONCLUSIVE)
        else words[result.outcome is Outcome.FAIL]
    )
    origin = (
        ""
        if is_benign and result.is_right
        else ("right" if result.is_origin_right else f"WRONG: {result.note}"[:240])
    )
    return (
        f"{result.case.label:{width}}  {result.case.row.step:8}  {result.difference:7.1e}   "
        f"{own:12}  {words[not result.is_close_to_reprod_log]:10}  "
        f"{words[not result.is_close_to_numpy]:8}  {_cause(result):11}  {origin}"
    ).rstrip()


def _cause(result: Result) -> str:
    """What the findings say of the cause; nothing of a rewrite, or where the row has none."""
    is_told = bool(result.case.row.cause) or result in misnamed([result])
    return result.naming.value if is_told else ""


def summary(results: Sequence[Result]) -> list[str]:
    """Counts by tool, origins, and the gap between rewrites and bugs in float64."""
    faults = [r for r in results if not r.case.row.is_benign]
    benign = [r for r in results if r.case.row.is_benign]
    verdicts = {
        "portalign": [not r.is_right for r in benign],
        "reprod_log": [not r.is_close_to_reprod_log for r in benign],
        "assert_allclose": [not r.is_close_to_numpy for r in benign],
    }
    caught = {
        "portalign": sum(r.is_right for r in faults),
        "reprod_log": sum(not r.is_close_to_reprod_log for r in faults),
        "assert_allclose": sum(not r.is_close_to_numpy for r in faults),
    }
    lines = [
        f"{tool:16} caught {caught[tool]} of {len(faults)} faults, "
        f"flagged {sum(verdicts[tool])} of {len(benign)} rewrites"
        for tool in _TOOLS
    ]
    n_right = sum(r.is_origin_right for r in faults)
    share = n_right / len(faults) if faults else 1.0
    lines.append(f"origin exactly right: {n_right} of {len(faults)} ({share:.0%})")
    trained = [r for r in faults if r.case.row.part]
    if trained:
        latest = max((r.blames[0][1] for r in trained if r.blames), default="none")
        lines.append(
            f"blamed right: {sum(r.is_blamed_right for r in trained)} of {len(trained)} training "
            f"faults, the latest in iteration {latest}"
        )
    return lines + _causes(results) + _gap(faults, benign)


def _causes(results: Sequence[Result]) -> list[str]:
    """How many causes were named right, wrong and not at all, and which not right."""
    by_naming = judged(results)
    n_all = sum(map(len, by_naming.values()))
    n_silent = sum(not r.case.row.is_benign and not r.case.row.cause for r in results)
    words = {Naming.RIGHT: "named right", Naming.WRONG: "named wrong"}
    counts = ", ".join(
        f"{words.get(naming, naming.value)} {len(some)} ({len(some) / (n_all or 1):.0%})"
        for naming, some in by_naming.items()
    )
    unknown = [r for r in results if r.case.row.cause == UNEXPLAINED]
    lines = [
        f"causes: of {n_all} planted ones {counts}; {n_silent} rows say none; named on "
        f"{sum(r.case.row.is_benign for r in misnamed(results))} rewrites",
        f"causes that no rule has: {len(unknown)}, "
        f"{sum(r.naming is Naming.UNEXPLAINED for r in unknown)} of them unexplained",
    ]
    for result in [*by_naming[Naming.WRONG], *by_naming[Naming.UNEXPLAINED], *misnamed(results)]:
        said = "; ".join(f"{one.rule or UNEXPLAINED}: {one.claim}" for one in result.findings)
        lines.append(
            f"  {result.case.label}: {result.naming.value}, "
            f"expected {result.case.row.cause or 'nothing'}; said {said or 'nothing'}"[:300]
        )
    return lines


def _gap(faults: Sequence[Result], benign: Sequence[Result]) -> list[str]:
    """A fault of precision alone has no float64 difference: it is counted apart."""
    bugs = [r for r in faults if r.difference > 1e-9]
    silent = [r for r in benign if r.difference >= 0]
    if not bugs or not silent:
        return []
    smallest, largest = (
        min(bugs, key=lambda r: r.difference),
        max(silent, key=lambda r: r.difference),
    )
    equal = [r.case.label for r in faults if not r.difference > 1e-9]
    lines = [
        f"in float64: largest rewrite {largest.difference:.1e} ({largest.case.label}), "
        f"smallest bug {smallest.difference:.1e} ({smallest.case.label})"
    ]
    return lines + (
        [f"equal in float64, other than in precision or bookkeeping: {', '.join(equal)}"]
        if equal
        else []
    )
