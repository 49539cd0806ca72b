"""Two findings that mirror each other are one: layers of two kinds are in the other order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portalign.diagnose.rules.attention_window import RULE, seen
from portalign.findings import Finding

_OURS, _THEIRS = "reference window", "candidate window"


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put windows that some layers lack and others have too much into one finding.

    Where the reference's layers see n and m places and the candidate's the same layers m and n, no
    window is wrong: the layers, or the rule that says which of them are local, are.
    """
    found = list(findings)
    for one in findings:
        other = next((each for each in found if _mirrors(one, each)), None)
        if other is None or one not in found:
            continue
        ours, theirs = (seen(_window(one, name)) for name in (_OURS, _THEIRS))
        found[found.index(one)] = replace(
            one,
            rule="layer-order",
            where=(*one.where, *other.where),
            claim="local and global layers are in the wrong order: where the reference's see "
            f"{ours} the candidate's see {theirs}, and the other way round",
            remedy="give every layer the kind that it has in the reference (layer_types, or which "
            "of even and odd layers is local)",
            fitted={**other.fitted, **one.fitted},
            before=max(one.before, other.before),
            after=max(one.after, other.after),
        )
        found.remove(other)
    return tuple(found)


def _window(finding: Finding, name: str) -> int | None:
    return int(finding.fitted[name]) if name in finding.fitted else None


def _mirrors(one: Finding, other: Finding) -> bool:
    are_windows = one.rule == RULE.name == other.rule
    return are_windows and (_window(one, _OURS), _window(one, _THEIRS)) == (
        _window(other, _THEIRS),
        _window(other, _OURS),
    )
