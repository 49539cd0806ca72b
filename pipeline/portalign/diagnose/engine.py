"""Name the cause of every origin: ask all rules, accept what its own repair proves, merge.

A rule that raises becomes a note and never breaks a verdict. What no rule explains is said to be
unexplained, with what was tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import final

from portalign.diagnose.confirm import Cause, Proof, Proposal, confirmed, difference
from portalign.diagnose.curves import explain_rates
from portalign.diagnose.evidence import Evidence, Site
from portalign.diagnose.explain import SPENT, Seen, explanations, proposal
from portalign.diagnose.family import Family
from portalign.diagnose.layer_order import ordered
from portalign.diagnose.merge import merged
from portalign.diagnose.precision import imprecise_places, lost_precision
from portalign.diagnose.registry import all_families, knobs_of, other_rules
from portalign.diagnose.rotary_tables import made_from
from portalign.diagnose.rounded import explain_rounded
from portalign.diagnose.scores import explain_scores
from portalign.diagnose.sites import Sites
from portalign.diagnose.state import explain_state
from portalign.diagnose.training.draws import explain_draws
from portalign.diagnose.training.explain import explain_training
from portalign.diagnose.undecided import deciding_input
from portalign.findings import Finding, FindingKind, Origin


@final
@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Findings in execution order, and notes on rules that failed."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def diagnose(evidence: Evidence) -> Diagnosis:
    """Name the causes of a step's origins."""
    doctor = Doctor()
    sites = Sites(evidence)
    numbers = doctor.numbers(evidence)
    found: list[Finding] = []
    imprecise = imprecise_places(evidence)
    for origin in evidence.divergence.places or tuple(imprecise.values())[:1]:
        if origin.label in numbers:
            found.append(numbers[origin.label])
            continue
        if origin.label in imprecise and (lost := doctor.lost(sites, origin)):
            found.append(lost)
            continue
        site = doctor.seen(sites, origin)
        made = _of_state(site, found) if site else None
        if made is not None:
            found[made] = _with_made(found[made], origin)
            continue
        shaping = next((at for at, one in enumerate(found) if one.before == math.inf), None)
        if site and shaping is not None and _is_shaped_by_inputs(site):
            where = (*found[shaping].where, origin.label)
            found[shaping] = replace(found[shaping], where=where)
            continue
        found += doctor.causes(site) if site else [_unexplained(origin, ())]
    beside = {link.label for link in evidence.links}
    beside -= {origin.label for origin in evidence.divergence.places}
    found += [one for label, one in numbers.items() if label in beside]
    order = {origin.label: at for at, origin in enumerate(evidence.divergence.places)}
    findings = tuple(
        replace(one, where=tuple(sorted(one.where, key=lambda label: order.get(label, len(order)))))
        for one in ordered(merged(found))
    )
    return Diagnosis(findings, tuple(dict.fromkeys(doctor.notes)))


@final
class Doctor:
    """Asks the rules, and remembers what explained earlier places."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._seen = Seen()

    def numbers(self, evidence: Evidence) -> dict[str, Finding]:
        """Findings on learning rates, metrics and initial state, by the label of the origin."""
        found: dict[str, Finding] = {}
        for what, look in (
            ("learning rates", explain_rates),
            ("metrics", explain_scores),
            ("initial values", explain_state),
            ("lost precision", explain_rounded),
            ("training", explain_training),
            ("random draws", explain_draws),
        ):
            try:
                found |= look(evidence)
            except Exception as err:  # a rule must never break a verdict
                self.notes.append(f"the {what} could not be explained: {_said(err)}")
        return found

    def seen(self, sites: Sites, origin: Origin) -> Site | None:
        """The site of an origin, if there is one."""
        try:
            return sites.of(origin)
        except Exception as err:  # captures of any age and origin: a verdict must not break here
            self.notes.append(f"the diagnosis can't read {origin.label}: {_said(err)}")
            return None

    def lost(self, sites: Sites, origin: Origin) -> Finding | None:
        """What is rounded at an origin on one side only, where the float64 twins agree."""
        try:
            twin, native = sites.of(origin), sites.native(origin)
            return lost_precision(twin, native, Seen()) if twin and native else None
        except Exception as err:  # a rule must never break a verdict
            self.notes.append(f"the precision of {origin.label} can't be explained: {_said(err)}")
            return None

    def causes(self, site: Site) -> list[Finding]:
        """The cheapest proposal that its repair confirms, or that nothing explains the place."""
        self._seen.budget.begin()
        proved: list[tuple[Proposal, Proof]] = []
        tried: list[str] = []
        families = {family.name: family for family in all_families()}
        for name, propose in self._asked(site):
            if any(each.cost <= 1 for each, _ in proved):  # there is no cheaper one
                break
            try:
                for each in propose(site):
                    tried.append(name)
                    if proof := confirmed(site, each):
                        proved.append((each, proof))
                if not proved and name in families and next(families[name].readings(site), None):
                    tried.append(f"any {name}")
            except Exception as err:  # a rule must never break a verdict
                self.notes.append(f"rule {name} failed with {_said(err)}")
        if self._seen.budget.is_spent:
            tried.append(SPENT)
        if not proved:
            return [_open(site, tried)]
        best, proof = min(proved, key=lambda pair: pair[0].cost)
        return [_finding(site, cause, best, proof) for cause in best.causes]

    def _asked(self, site: Site) -> Iterator[tuple[str, Callable[[Site], Iterable[Proposal]]]]:
        for family in sorted(all_families(), key=lambda family: not family.is_rare):
            if site.origin.kind in family.kinds:
                yield family.name, partial(self._of_family, family=family)
        for rule in other_rules():
            if site.origin.kind in rule.kinds:
                yield rule.name, rule.propose

    def _of_family(self, site: Site, *, family: Family) -> Iterator[Proposal]:
        knobs = tuple(knob for knob in knobs_of(family.name) if not knob.is_precision)
        for found in explanations(site, family, knobs, self._seen):
            if each := proposal(site, found, knobs):
                yield each


def _of_state(site: Site, findings: Sequence[Finding]) -> int | None:
    """Which finding is on state from which the module makes what it returns."""
    on_state = [at for at, one in enumerate(findings) if one.rule.startswith("state-")]
    name = made_from(site) if on_state else None
    return next((at for at in on_state if name in findings[at].where), None)


def _with_made(finding: Finding, origin: Origin) -> Finding:
    evidence = f"{finding.evidence}; {origin.label} is made from them on both sides"
    return replace(finding, where=(*finding.where, origin.label), evidence=evidence)


def _is_shaped_by_inputs(site: Site) -> bool:
    """What arrived already had another shape, which nothing could be put in the place of."""
    shapes = [tuple(s.array.shape for s in v.inputs) for v in (site.reference, site.candidate)]
    return shapes[0] != shapes[1] and site.reference.made.shape != site.candidate.made.shape


def _said(err: Exception) -> str:
    return " ".join(f"{type(err).__name__}: {err}".split())


def _finding(site: Site, cause: Cause, whole: Proposal, proof: Proof) -> Finding:
    others = len(whole.causes) - 1
    both = f", together with the {'other cause' if others == 1 else 'other causes'} here," * bool(
        others
    )
    evidence = (
        f"changed to the reference's{both} the relative difference there falls from "
        f"{proof.before:.1e} to {proof.after:.1e}"
    )
    if not whole.is_computed:
        evidence = "all of it is zero on one side and not on the other; no repair can be computed"
    return Finding(
        cause.rule,
        cause.kind,
        (site.origin.label,),
        cause.claim,
        evidence,
        cause.remedy,
        dict(cause.fitted),
        proof.before,
        proof.after if whole.is_computed else math.nan,
        is_confirmed=whole.is_computed,
    )


def _open(site: Site, tried: Sequence[str]) -> Finding:
    """Nothing explains a place: what was tried, and what input would tell more."""
    found = _unexplained(site.origin, tuple(dict.fromkeys(tried)), difference(site))
    return replace(found, remedy=deciding_input(site))


def _unexplained(origin: Origin, tried: Sequence[str], before: float = float("nan")) -> Finding:
    return Finding(
        "",
        FindingKind.UNEXPLAINED,
        (origin.label,),
        "no rule explains what begins here",
        before=before,
        ruled_out=tuple(tried),
    )
