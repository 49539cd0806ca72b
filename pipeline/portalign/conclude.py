"""From a step's captures to its report: pair, compare, locate, doubt. Needs no framework, runs
nothing.

A folder that was captured elsewhere, or weeks ago, is concluded the same way as a fresh one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from portalign.compare.batch_norm import conventions, settle
from portalign.compare.begins import begins
from portalign.compare.behind import left_behind, without_twin
from portalign.compare.blames import blames
from portalign.compare.captures import compare_all
from portalign.compare.content import without_doubtful
from portalign.compare.doubts import doubts
from portalign.compare.flips import settle_flips
from portalign.compare.growth import growth
from portalign.compare.harmless import forgive, harmless_inputs
from portalign.compare.iterations import iterations, with_faults
from portalign.compare.pairs import overall
from portalign.compare.scores import (
    is_crafted,
    is_undefined,
    left_out,
    settle_near_ties,
)
from portalign.compare.untwinned import settle_drift
from portalign.config import Port
from portalign.diagnose.batch_norm import findings, with_statistics
from portalign.diagnose.engine import Diagnosis, diagnose
from portalign.diagnose.evidence import Evidence
from portalign.diagnose.known.settle import known_differences, settle_known, without_known
from portalign.diagnose.known.settle import reservations as own_differences
from portalign.diagnose.probed import probed
from portalign.diagnose.rewritten import settle_rewritten
from portalign.diagnose.undecided import undecided
from portalign.findings import Probe
from portalign.mapping.names import match_state
from portalign.mapping.pair import Pair, Pairing, pair
from portalign.mapping.weights import WeightPlan
from portalign.records import Kind, Precision, Role, SideInfo, Step, Structure, Trace
from portalign.report.data import SCHEMA
from portalign.request import Spec
from portalign.results import Comparison, Divergence, Outcome, StepReport, Unpaired, Verdict
from portalign.stages.exchange import INPUTS
from portalign.store.layout import GRAFT, ITERATIONS
from portalign.store.sides import read_side

_NEEDED = (Kind.OUTPUT, Kind.PREDICTION, Kind.METRIC, Kind.LOSS)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A step's report and what its dumps are made of.

    Attributes:
        pairs: all pairs, native and float64.
        probe: learning rate points the porter wants in the log.
    """

    report: StepReport
    pairs: tuple[Pair, ...]
    probe: tuple[int, ...]


def conclude(port: Port, step: Step, folder: Path, *, next_command: str = "") -> Conclusion:
    """Conclude a captured step.

    Args:
        port: what was asked for.
        step: which step.
        folder: holds ``reference/`` and ``candidate/``, and ``weights/`` where the step has a
            model.
        next_command: what to advise when the step passes.

    Raises:
        TraceError: a trace is missing, broken or incomplete.
        MappingError: both sides' weights can't be matched.
    """
    reference, candidate = (read_side(folder, role) for role in Role)
    plan = _plan(port, reference, candidate)
    pairing = pair(reference, candidate, plan, outputs=port.outputs)
    undefined = tuple(filter(is_undefined, pairing.pairs))
    pairing = replace(pairing, pairs=tuple(p for p in pairing.pairs if not is_undefined(p)))
    known = conventions(pairing, reference, candidate, folder / INPUTS)
    chain = iterations(folder / ITERATIONS, reference, plan, known, batches=folder / INPUTS)
    comparisons = settle_near_ties(tuple(compare_all(pairing, n_faithful=chain.n_faithful)))
    pairing, comparisons = without_doubtful(pairing, comparisons)
    harmless = harmless_inputs(pairing.pairs, comparisons)
    comparisons = forgive(pairing.pairs, comparisons, harmless)
    comparisons = settle(pairing, comparisons, known, n_faithful=chain.n_faithful)
    comparisons = settle_drift(comparisons, chain)
    comparisons = settle_flips(comparisons, n_faithful=chain.n_faithful)
    divergence, place_notes = begins(folder / GRAFT, comparisons, pairing, reference, harmless)
    grafted = chain.failing(len(comparisons))
    divergence = with_faults(divergence, chain.faults, (*comparisons, *grafted))
    captured = (reference, candidate, folder / GRAFT, pairing, comparisons, divergence)
    evidence = Evidence(*captured, port.as_dict(), folder / INPUTS, chain.links)
    settled = None if port.weights.carry else settle_rewritten(evidence)
    # every module behind a rewritten weight differs: a search of causes would be long and in vain
    is_equivalent = settled is not None and settled.divergence == Divergence()
    diagnosis = Diagnosis(()) if is_equivalent else diagnose(evidence)
    if settled:
        comparisons, divergence = settled.comparisons, settled.divergence
        diagnosis = replace(diagnosis, findings=(*settled.findings, *diagnosis.findings))
    statistics = findings(pairing, comparisons, (reference, candidate), divergence)
    sides = _infos(reference, candidate)
    handed = folder / ITERATIONS / Role.REFERENCE.value
    differing = known_differences(
        chain, divergence, (reference, handed, folder / INPUTS), sides, _losses(port, sides)
    )
    comparisons, grafted = (settle_known(some, differing) for some in (comparisons, grafted))
    divergence = without_known(divergence, differing)
    faults = [link for link in chain.faults if link.label not in differing.labels]
    reservations = (
        *doubts(port.as_dict(), step, pairing.pairs, comparisons, sides),
        *own_differences(differing),
    )
    unpaired = (*pairing.unpaired, *_unrecorded(pairing, (reference, candidate)))
    outcome = overall((*comparisons, *grafted), unpaired, reservations)
    outcome = Outcome.FAIL if faults else outcome
    tried = probed(folder, INPUTS, evidence, outcome)
    report = StepReport(
        schema=SCHEMA,
        port=port.name,
        step=step,
        outcome=outcome,
        headline="",
        comparisons=(*comparisons, *grafted),
        unpaired=unpaired,
        reservations=reservations,
        divergence=divergence,
        sides=sides,
        notes=(
            *_notes(sides),
            *left_behind(pairing),
            *without_twin(pairing, (reference, candidate)),
            *left_out(undefined, (reference, candidate)),
            *place_notes,
            *diagnosis.notes,
            *chain.notes,
            *tried.notes,
            *(
                undecided(evidence, n_probed=tried.n_places, is_padded=tried.is_padded)
                if step is Step.FORWARD  # later steps feed the model the same
                else ()
            ),
        ),
        audit=tuple(str(line) for line in plan.audit),
        curves=_curves(pairing),
        precisions=_precisions(reference),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        settings=port.as_dict(),
        next_command=next_command if outcome is Outcome.PASS else "",
        findings=with_statistics(diagnosis.findings, (*statistics, *differing.findings)),
        blames=blames(faults),
        growth=growth(comparisons),
        probe=tried.probe,
    )
    report = replace(report, headline=f"{_headline(report)}{_besides(tried.probe)}")
    probe = port.lr_scheduler.args.get("probe", ()) if port.lr_scheduler else ()
    return Conclusion(report, pairing.pairs, tuple(probe))


def _besides(probe: Probe | None) -> str:
    """The end of a headline: what the given inputs can't show, and a probe does."""
    if probe is None:
        return ""
    where = " at places that the mask hides" if probe.is_hidden_only else ""
    return f"; but on portalign's own inputs ({probe.tried}) they differ{where}"


def _unrecorded(pairing: Pairing, sides: Sequence[Trace]) -> tuple[Unpaired, ...]:
    """What the step promises and a side saw but could not record."""
    told = {record.key for record in pairing.unpaired}
    found = (
        Unpaired(
            role.value,
            skipped.key,
            f"the {role.value} could not record it: {skipped.reason}",
            is_promised=True,
        )
        for role, trace in zip(Role, sides, strict=True)
        for skipped in trace.skipped
        if skipped.key.kind in _NEEDED
        and skipped.key.precision is Precision.NATIVE
        and (skipped.key not in told or skipped.key.kind is Kind.METRIC)
        and not is_crafted(skipped.key)
    )
    return tuple(found)


def _plan(port: Port, reference: Trace, candidate: Trace) -> WeightPlan:
    structures = [trace.info.structure if trace.info else None for trace in (reference, candidate)]
    if None in structures:
        return WeightPlan(())
    left, right = (s for s in structures if isinstance(s, Structure))
    weights = port.weights.model_dump(mode="json")
    return match_state(
        left,
        right,
        rename=weights["rename"],
        layout=weights["layout"],
        is_carried=weights["carry"],
    )


def _losses(port: Port, sides: Sequence[SideInfo]) -> tuple[Spec | None, Spec | None]:
    """Both sides' losses as the port file has them."""
    entry = port.loss
    if entry is None or len(sides) != 2:
        return None, None
    first, second = (entry.spec(side.role, side.framework) for side in sides)
    return first, second


def _infos(reference: Trace, candidate: Trace) -> tuple[SideInfo, ...]:
    return tuple(trace.info for trace in (reference, candidate) if trace.info)


def _notes(sides: Sequence[SideInfo]) -> tuple[str, ...]:
    notes = [note for side in sides for note in (*side.lifted, *side.notes)]
    return tuple(dict.fromkeys(notes))


def _precisions(reference: Trace) -> tuple[Precision, ...]:
    found = {record.key.precision for record in reference.records}
    return tuple(precision for precision in Precision if precision in found)


def _curves(pairing: Pairing) -> dict[str, dict[str, tuple[float, ...]]]:
    """Numbers over the iterations, for plots: loss, gradient norm, learning rate."""
    curves: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    numbers = [
        p for p in pairing.pairs if p.reference.key.kind in (Kind.LOSS, Kind.LR, Kind.GRADIENT_NORM)
    ]
    for each in (*numbers, *filter(None, map(pairing.twin, numbers))):
        key = each.reference.key
        name = key.name if key.precision is Precision.NATIVE else f"{key.name} float64"
        for role, array in zip(Role, (each.reference.array, each.candidate.array), strict=True):
            curves[name][role.value].extend(float(v) for v in np.ravel(array))
    return {
        name: {role: tuple(values) for role, values in sides.items()}
        for name, sides in curves.items()
    }


def _headline(report: StepReport) -> str:
    n_pairs = len(report.comparisons)
    if report.outcome is Outcome.FAIL:
        failed = [c for c in report.comparisons if c.outcome is Outcome.FAIL]
        if not failed:  # what only one side has can't be compared
            return report.blames[0].text
        what = "lose precision on one side only" if _is_precision(failed) else "differ"
        return f"{len(failed)} of {n_pairs} pairs {what}; {_begins(report.divergence)}"
    if report.outcome is Outcome.PASS:
        counts = (
            f"{sum(c.verdict is verdict for c in report.comparisons)} {verdict.value}"
            for verdict in Verdict
            if any(c.verdict is verdict for c in report.comparisons)
        )
        return f"all {n_pairs} pairs agree: {', '.join(counts)}"
    reasons = [f"{u.role} {u.key}: {u.reason}" for u in report.unpaired if u.is_promised]
    reasons += [r.text for r in report.reservations]
    reasons += [
        f"{c.label}: {c.reason}" for c in report.comparisons if c.outcome is not Outcome.PASS
    ]
    more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
    return f"{reasons[0] if reasons else 'nothing was compared'}{more}"


def _is_precision(failed: Sequence[Comparison]) -> bool:
    """The mathematics is the same everywhere, only its precision isn't."""
    return all(c.verdict is Verdict.PRECISION for c in failed)


def _begins(divergence: Divergence) -> str:
    origins = divergence.origins or divergence.unresolved
    if not origins:
        return f"first at {divergence.first}"
    more = f" and {len(origins) - 1} more places" if len(origins) > 1 else ""
    return f"begins at {origins[0]}{more}"
