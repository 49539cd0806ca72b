"""Findings on the links of training, by the label of the place where each begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from portalign.compare.blames import at_fault
from portalign.compare.chain import Link
from portalign.diagnose.evidence import Evidence
from portalign.diagnose.known.given import Given, given
from portalign.diagnose.training import clipping
from portalign.diagnose.training.arguments import Read, misfit, read
from portalign.diagnose.training.batches import explain_batches
from portalign.diagnose.training.observed import Update, updates
from portalign.diagnose.words import listed
from portalign.findings import Finding, FindingKind, Part
from portalign.records import Precision, Role
from portalign.store import read_trace
from portalign.store.layout import ITERATIONS

_PARTS: Final = (Part.OPTIMIZER_STATE, Part.UPDATE)
_OF_UPDATE: Final = ("eps", "weight_decay", "nesterov", "bias_correction")
_SWITCHES: Final = {
    "nesterov": "Nesterov's momentum",
    "bias_correction": "Adam's bias correction",
    "amsgrad": "AMSGrad",
}
_WORDS: Final = {"l2": "coupled weight decay (L2)", "initial_accumulator": "initial accumulator"}
_KINDS: Final = ("decoupled", "coupled (L2, part of the gradient)")
_EQUAL: Final = {"eps": 1e-3}  # relative, as eps is read off what it hardly changes; others 1e-6
_Both = tuple[Mapping[str, list[Update]], Mapping[str, list[Update]]]
_Differing = dict[str, dict[tuple[float, float], list[str]]]  # by argument and by both values


def explain_training(evidence: Evidence) -> dict[str, Finding]:
    """Findings on batches, clipping, optimizer state and update; where there are twins, for single
    numbers of float32 tell too little.
    """
    labels: dict[Part, str] = {}
    begun = {place.label for place in evidence.divergence.places}
    for link in evidence.links:
        if link.label in begun:
            labels.setdefault(link.part, link.label)
    found = explain_batches(evidence.links, labels.get(Part.DATA, ""))
    if not labels.keys() & {Part.CLIPPING, Part.OPTIMIZER_STATE, Part.UPDATE}:
        return found
    handed = evidence.graft.parent / ITERATIONS / Role.REFERENCE.value
    values = given(evidence.reference, read_trace(handed))
    if values.precision is not Precision.FLOAT64:
        return found
    if label := labels.get(Part.CLIPPING):
        found |= _clipping(evidence.links, values, label)
    return found | _optimizer(evidence.links, values, labels)


def _clipping(links: Sequence[Link], values: Given, label: str) -> dict[str, Finding]:
    seen = [clipping.clipped(links, values, role) for role in Role]
    ours, theirs = (clipping.read(side) for side in seen)
    if ours is None or theirs is None or ours == theirs:
        return {}
    before, residue = clipping.misfit(ours, seen[1]), clipping.misfit(theirs, seen[1])
    n_all = sum(len(one.gradients) for one in seen[1])
    return {
        label: Finding(
            "clipping",
            FindingKind.CAUSE,
            (label,),
            ours.against(theirs),
            f"so all {n_all} clip coefficients of the candidate come out as recorded, to "
            f"{residue:.1e}; the reference's clip is off by {before:.1e}",
            f"let the candidate do what the reference does: it {ours.words}",
            dict(clipping.shown(ours, theirs)),
            before,
            residue,
            is_confirmed=True,
        )
    }


def _optimizer(
    links: Sequence[Link], values: Given, labels: Mapping[Part, str]
) -> dict[str, Finding]:
    wrong = {link.owner for link in at_fault(links) if link.part in _PARTS}
    if not labels.keys() & set(_PARTS):
        return {}
    both = (updates(links, values, Role.REFERENCE), updates(links, values, Role.CANDIDATE))
    if left_out := _left_out(links, both[1], wrong):
        label = labels.get(Part.UPDATE, "")
        return {label: replace(left_out, where=(label,))} if label else {}
    read_off = _read_off(both, wrong)
    differing: _Differing = {}
    for owner in both[0]:
        for name in _unequal(*read_off[owner]) if owner in read_off else ():
            ours, theirs = (side.arguments[name] for side in read_off[owner])
            differing.setdefault(name, {}).setdefault((ours, theirs), []).append(owner)
    falls = [
        tuple(misfit(both[1][owner], side) for side in read_off[owner])
        for owner in both[0]
        if owner in read_off and owner in wrong
    ]
    found = {}
    for label, names in _by_place(differing, labels).items():
        told = {name: differing[name] for name in names}
        before, residue = (max(fall[at] for fall in falls) for at in (0, 1))
        found[label] = _finding(label, told, len(both[0]), before, residue)
    return found


def _read_off(both: _Both, wrong: set[str]) -> dict[str, tuple[Read, Read]]:
    """Both sides' optimizers by parameter, the largest first; nothing where arguments don't explain
    every parameter that is wrong, and no other.
    """
    found: dict[str, tuple[Read, Read]] = {}
    known: tuple[list[Read], list[Read]] = ([], [])
    for owner in sorted(both[0], key=lambda name: -both[0][name][0].weight.size):
        ours = read(both[0][owner], known[0])
        theirs = read(both[1].get(owner, ()), [*([ours] if ours else []), *known[1]])
        if ours is None or theirs is None or ours.formula is not theirs.formula:
            if owner in wrong:
                return {}
            continue
        if bool(_unequal(ours, theirs)) != (owner in wrong):
            return {}
        found[owner] = ours, theirs
        for some, one in zip(known, found[owner], strict=True):
            if not any(one is other for other in some):
                some.append(one)
    return found


def _left_out(
    links: Sequence[Link], theirs: Mapping[str, Sequence[Update]], wrong: set[str]
) -> Finding | None:
    """Parameters that the candidate's optimizer doesn't hold, if nothing else is wrong."""
    held = {link.owner for link in links if link.part is Part.LR and link.pair is not None}
    owners = [name for name in theirs if name not in held]
    is_still = all(
        np.array_equal(one.weight, one.start.weight) for name in owners for one in theirs[name]
    )
    if not owners or not is_still or set(owners) != wrong:
        return None
    return Finding(
        "parameter-left-out",
        FindingKind.CAUSE,
        (),
        f"the candidate's optimizer doesn't hold {listed(owners)}",
        f"it has no learning rate for {'it' if len(owners) == 1 else 'them'}, and "
        f"{sum(len(theirs[name]) for name in owners)} updates left what they started from bit for "
        "bit",
        "give the candidate's optimizer all parameters that the reference's has",
        {"parameters": float(len(owners))},
        1.0,
        0.0,
        is_confirmed=True,
    )


def _by_place(differing: _Differing, labels: Mapping[Part, str]) -> dict[str, list[str]]:
    """Names of arguments by the label of the link that shows them, or of the only one there is."""
    found: dict[str, list[str]] = {}
    for name in differing:
        part = Part.UPDATE if name in _OF_UPDATE else Part.OPTIMIZER_STATE
        label = labels.get(part) or next(labels[p] for p in _PARTS if p in labels)
        found.setdefault(label, []).append(name)
    return found


def _finding(
    label: str, differing: _Differing, n_owners: int, before: float, residue: float
) -> Finding:
    clauses = _clauses(differing, n_owners)
    fitted: dict[str, float] = {}
    for name, pairs in differing.items():
        ours, theirs = next(iter(pairs))
        fitted |= {f"reference {name}": ours, f"candidate {name}": theirs}
    return Finding(
        "optimizer-argument",
        FindingKind.CAUSE,
        (label,),
        " and ".join(clauses),
        "read off each side's own updates; with the candidate's the optimizer's formula makes all "
        f"updates that the candidate recorded, to {residue:.1e}, with the reference's it is off by "
        f"{before:.1e}",
        "give the candidate's optimizer the reference's value",
        fitted,
        before,
        residue,
        is_confirmed=True,
    )


def _clauses(differing: _Differing, n_owners: int) -> list[str]:
    rest = dict(differing)
    clauses = []
    own, coupled = differing.get("weight_decay", {}), differing.get("l2", {})
    for kind, other, words in ((own, coupled, _KINDS), (coupled, own, _KINDS[::-1])):
        for (ours, theirs), owners in kind.items():
            if theirs == 0.0 and other.get((0.0, ours)) == owners and len(kind) == len(other) == 1:
                where = _where(owners, n_owners)
                clauses.append(
                    f"weight decay {ours:.6g}{where} is {words[0]} on the reference and "
                    f"{words[1]} on the candidate"
                )
                rest.pop("weight_decay")
                rest.pop("l2")
    for name, pairs in rest.items():
        for (ours, theirs), owners in pairs.items():
            clauses.append(f"{_said(name, ours, theirs)}{_where(owners, n_owners)}")
    return clauses


def _said(name: str, ours: float, theirs: float) -> str:
    if name in _SWITCHES:
        what = _SWITCHES[name]
        has, hasnt = ("reference", "candidate") if ours else ("candidate", "reference")
        return f"the {has} has {what}, the {hasnt} hasn't"
    return f"{_WORDS.get(name, name)} {ours:.6g} against {theirs:.6g}"


def _where(owners: Sequence[str], n_owners: int) -> str:
    return "" if len(owners) == n_owners else f" for {listed(owners)}"


def _unequal(ours: Read, theirs: Read) -> list[str]:
    """Names of the arguments that differ."""
    pairs = ((name, value, theirs.arguments[name]) for name, value in ours.arguments.items())
    return [
        name
        for name, one, other in pairs
        if not math.isclose(one, other, rel_tol=_EQUAL.get(name, 1e-6), abs_tol=1e-13)
    ]
