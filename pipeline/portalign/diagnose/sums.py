"""How two expressions differ, for the rules that name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Site
from portalign.diagnose.expressions import Expression, Expressions, Term, expressions
from portalign.diagnose.words import near


@final
@dataclass(frozen=True, slots=True)
class Gap:
    """What stands in one expression only.

    Attributes:
        missing, added: terms of the reference alone and of the candidate alone.
        both: terms that are equal on both sides.
    """

    both: tuple[Term, ...]
    missing: tuple[Term, ...]
    added: tuple[Term, ...]
    functions: tuple[str, str]

    @property
    def has_one_function(self) -> bool:
        """Around the sum both sides apply the same, or nothing."""
        return self.functions[0] == self.functions[1]


def gap(site: Site) -> tuple[Expressions, Gap] | None:
    """The difference of both sides' expressions; None where there are none or they agree."""
    found = expressions(site)
    if found is None:
        return None
    ours, theirs = found.reference.terms, found.candidate.terms
    return found, Gap(
        both=tuple(term for term in ours if term in theirs),
        missing=tuple(term for term in ours if term not in theirs),
        added=tuple(term for term in theirs if term not in ours),
        functions=(found.reference.function, found.candidate.function),
    )


def proposed(
    site: Site,
    found: Expressions,
    *,
    rule: str,
    claim: str,
    remedy: str,
    fitted: dict[str, float] | None = None,
    cost: float = 1.0,
) -> Proposal:
    """A proposal whose repair is to make the reference's expression of the same tensors."""
    shape = site.candidate.target.shape
    return Proposal(
        (Cause(rule, claim, remedy, fitted or {}),),
        modelled=found.evaluate(found.candidate, shape),
        repaired=found.evaluate(found.reference, shape),
        cost=cost,
    )


def told(expression: Expression, site: Site) -> str:
    """An expression with its tensors named as seen from the place."""
    text = str(expression)
    for name in sorted(expression.sources, key=len, reverse=True):
        text = text.replace(name, near(name, site.origin.path))
    return text


def named(term: Term, site: Site) -> str:
    """A term likewise."""
    return told(Expression((term,)), site)
