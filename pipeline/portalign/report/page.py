"""What the HTML report shows of a port, as data: one entry per step, drawn by the page's script.

All names and texts in it are plain text. How they look, and what a click does, is decided in the
files of the folder `page`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portalign.findings import Blame, Finding
from portalign.records import SideInfo, Step
from portalign.report.aggregate import RunReport, StepSummary
from portalign.report.codec import Json, encode
from portalign.report.columns import Tree, columns, number, tree
from portalign.report.document import WORDS
from portalign.report.figures import Curve, curves, growths
from portalign.report.plain import plain
from portalign.report.samples import Sample
from portalign.report.spots import Spot, spots
from portalign.report.words import Say, english
from portalign.results import StepReport, Unpaired

MAX_LINES = 2000  # of one list of texts; who needs more reads report.json
_CURVE_DIGITS = 8


def page_data(
    run: RunReport,
    reports: Mapping[Step, StepReport],
    say: Say = english,
    *,
    samples: Mapping[Step, Mapping[str, Sample]],
) -> Json:
    """Everything the page's script needs, as strict JSON data.

    Args:
        run: the verdict over all steps.
        reports: the steps that have one.
        say: puts sentences into the reader's language.
        samples: what was kept of each step's values, by label.
    """
    steps = [
        _step(each, reports.get(each.step), samples.get(each.step, {}), say) for each in run.steps
    ]
    return {"port": plain(run.port), "steps": steps}


def _step(
    summary: StepSummary, report: StepReport | None, samples: Mapping[str, Sample], say: Say
) -> Json:
    head = {"step": summary.step.value, "state": summary.state.value}
    if report is None:
        return head
    rows = enumerate(one.label for one in report.comparisons)
    kept = {row: _sample(samples[label]) for row, label in rows if label in samples}
    return {**head, **_concluded(report, say), "samples": kept}


def _concluded(report: StepReport, say: Say) -> Json:
    sides = [report.sides[at] if at < len(report.sides) else None for at in (0, 1)]
    trees = (
        tree(sides[0], (one.key for one in report.comparisons)),
        tree(sides[1], (one.candidate_key for one in report.comparisons)),
    )
    origins = spots(report, report.divergence.origins)
    unresolved = spots(report, report.divergence.unresolved[:MAX_LINES])
    shown = {spot.row for spot in origins if spot.row >= 0}
    return {
        "outcome": report.outcome.value,
        "word": say(WORDS[report.outcome]),
        "headline": plain(say(report.headline)),
        "next": plain(report.next_command),
        "origins": [_spot(each, trees[0]) for each in origins],
        "unresolved": [_spot(each, trees[0]) for each in unresolved],
        "n_inherited": len(
            set(report.divergence.inherited) - {report.comparisons[row].label for row in shown}
        ),
        "reservations": [(plain(r.rule), plain(say(r.text))) for r in report.reservations],
        "findings": [_finding(each, report, say) for each in report.findings],
        "probe": _probe(report, say),
        "blames": [_blame(each, report, say) for each in report.blames],
        "growth": [
            {"name": say(each.name), "rows": each.rows, "n_all": each.n_all}
            for each in growths(report, shown)
        ],
        "curves": [_curve(each, say) for each in curves(report)],
        "trees": [each.encoded() for each in trees],
        "tensors": columns(report, trees, shown, say),
        "sides": [_side(side) for side in report.sides],
        **_lists(report, say),
    }


def _lists(report: StepReport, say: Say) -> dict[str, Json]:
    """What is folded away at the end of a step."""
    alone = sorted(report.unpaired, key=lambda each: not each.is_promised)
    return {
        "n_unpaired": len(alone),
        "unpaired": [_unpaired(each, say) for each in alone[:MAX_LINES]],
        "notes": [plain(say(each)) for each in report.notes[:MAX_LINES]],
        "audit": [plain(say(each)) for each in report.audit[:MAX_LINES]],
        "settings": [
            (plain(name), plain(_flat(report.settings[name]))) for name in report.settings
        ],
        "files": [plain(each) for each in report.files],
        "created": plain(report.created),
    }


def _spot(spot: Spot, reference: Tree) -> Json:
    node = reference.module(spot.path) if spot.path else -1
    return {"label": plain(spot.label), "kind": spot.kind, "row": spot.row, "node": node}


def _finding(finding: Finding, report: StepReport, say: Say) -> Json:
    return {
        "rule": plain(finding.rule),
        "kind": finding.kind.value,
        "where": [(plain(spot.label), spot.row) for spot in spots(report, finding.where)],
        "claim": plain(say(finding.claim)),
        "evidence": plain(say(finding.evidence)),
        "remedy": plain(say(finding.remedy)),
        "fitted": [
            (plain(name), number(value, digits=9)) for name, value in finding.fitted.items()
        ],
        "before": number(finding.before),
        "after": number(finding.after),
        "is_confirmed": finding.is_confirmed,
        "ruled_out": [plain(say(each)) for each in finding.ruled_out],
    }


def _probe(report: StepReport, say: Say) -> Json:
    if report.probe is None:
        return None
    findings = [_finding(each, report, say) for each in report.probe.findings]
    return {"text": plain(say(report.probe.text)), "findings": findings}


def _blame(blame: Blame, report: StepReport, say: Say) -> Json:
    (spot,) = spots(report, [blame.label])
    return {
        "part": blame.part.value,
        "iteration": blame.iteration,
        "label": plain(blame.label),
        "row": spot.row,
        "text": plain(say(blame.text)),
    }


def _curve(curve: Curve, say: Say) -> Json:
    def short(values: Sequence[float]) -> list[Json]:
        return [number(value, digits=_CURVE_DIGITS) for value in values]

    return {
        "name": plain(say(curve.name)),
        "x": curve.iterations,
        "reference": short(curve.reference),
        "candidate": short(curve.candidate),
        "difference": _differences(curve.reference, curve.candidate),
        "twin": _differences(curve.twin_reference, curve.twin_candidate),
    }


def _differences(reference: Sequence[float], candidate: Sequence[float]) -> list[Json]:
    return [number(abs(a - b)) for a, b in zip(reference, candidate, strict=True)]


def _side(side: SideInfo) -> Json:
    """The environment of a side as lines of name and value."""
    lines: dict[str, str] = {
        "framework": f"{side.framework} {side.framework_version}",
        "python": side.python,
        "device": side.device,
        "mode": side.mode,
        "seed": str(side.seed),
        "threads": str(side.threads),
        "source": side.source,
        "source sha256": side.source_sha256,
        "weights sha256": side.weights_sha256,
        "inputs sha256": side.inputs_sha256,
        "model sha256": side.model_sha256,
        **{f"flag {name}": value for name, value in side.flags.items()},
        "peak memory": f"{side.peak_memory_bytes / 2**20:.0f} MB",
        **{f"time: {name}": f"{seconds:.2f} s" for name, seconds in side.seconds.items()},
    }
    return {
        "role": side.role.value,
        "lines": [(plain(name), plain(value)) for name, value in lines.items()],
        "lifted": [plain(each) for each in (*side.lifted, *side.notes)],
    }


def _sample(sample: Sample) -> Json:
    return {
        "reference": [plain(each) for each in sample.reference],
        "candidate": [plain(each) for each in sample.candidate],
        "edge": number(sample.edge, digits=6),
        "counts": sample.counts,
        "n_seen": sample.n_seen,
        "heat": encode(sample.heat),
    }


def _unpaired(each: Unpaired, say: Say) -> Json:
    return (each.role, plain(str(each.key)), plain(say(each.reason)), each.is_promised)


def _flat(value: object) -> str:
    return value if isinstance(value, str) else str(encode(value))
