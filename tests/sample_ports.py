"""Whole ports as their steps would report them: one that passes, one that begins to differ deep in
the tree, one of 50,000 tensors, and one whose names are an attack.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cache

from portalign.findings import Blame, Finding, FindingKind, Origin, OriginKind, Part
from portalign.records import Kind, ModuleInfo, Role, SideInfo, Step, Structure, TensorKey
from portalign.report.aggregate import Recorded
from portalign.results import (
    Basis,
    Comparison,
    Divergence,
    Measurement,
    Outcome,
    Reservation,
    StepReport,
    Unpaired,
    Verdict,
)
from sample_reports import comparison, measurement, side, step_report

# Parts of a layer: reference path, candidate path, type.
PARTS = (
    ("attention.self.query", "self_attn.q_proj", "Linear"),
    ("attention.self.key", "self_attn.k_proj", "Linear"),
    ("attention.self.value", "self_attn.v_proj", "Linear"),
    ("attention.output.dense", "self_attn.out_proj", "Linear"),
    ("attention.output.LayerNorm", "norm1", "LayerNorm"),
    ("intermediate.dense", "linear1", "Linear"),
    ("output.dense", "linear2", "Linear"),
    ("output.LayerNorm", "norm2", "LayerNorm"),
)
ORIGIN = "encoder.layer.17.attention.self.value out.0"
EVIL = "<script>document.title='broken in'</script>"
ODD = f"x\"&'`|*_{EVIL}]]>\u202e\x1b[31m\nline\ud800 </script><img src=x onerror=alert(1)> 注意力"


def passing_port() -> Recorded:
    """All four steps pass."""
    reports = (_forward(6), _metric(), _scheduler(), _backward(6))
    return recorded("bert", *reports)


def deep_port() -> Recorded:
    """The forward step fails: it begins in layer 17 of 24, and at glue before layer 20."""
    return recorded("deep", _diverging(24), _metric(), _scheduler(), _backward(24))


def large_port(n_layers: int = 2084) -> Recorded:
    """A forward step of 50,000 tensors (24 a layer) that begins to differ in layer 17."""
    return recorded("large", _diverging(n_layers))


def odd_port() -> Recorded:
    """Every name and every text of the report is one that wants to be obeyed."""
    report = _diverging(24)
    evil = dataclasses.replace(
        comparison(ODD, Verdict.DIVERGENT, reason=ODD, how_paired=ODD, module_type=ODD),
        key=TensorKey(Kind.ACTIVATION, EVIL, ODD),
        candidate_key=TensorKey(Kind.ACTIVATION, EVIL, ODD),
    )
    sides = tuple(
        dataclasses.replace(
            each,
            framework=EVIL,
            source=ODD,
            flags={ODD: ODD},
            notes=(ODD,),
            structure=Structure(EVIL, (*_modules(each), ModuleInfo(EVIL, ODD)), ()),
        )
        for each in report.sides
    )
    finding = Finding(ODD, FindingKind.CAUSE, (ODD,), ODD, ODD, ODD, {ODD: 1.0}, ruled_out=(ODD,))
    changed = dataclasses.replace(
        report,
        port=ODD,
        headline=ODD,
        comparisons=(evil, *report.comparisons),
        unpaired=(Unpaired("reference", TensorKey(Kind.OUTPUT, ODD), ODD, True),),
        reservations=(Reservation(ODD, ODD),),
        divergence=Divergence(origins=(ODD, f"glue before {EVIL}"), first=ODD),
        sides=sides,
        notes=(ODD,),
        audit=(ODD,),
        settings={ODD: ODD},
        next_command=ODD,
        files=(ODD,),
        findings=(finding,),
        blames=(Blame(Part.LOSS, 0, ODD, ODD),),
        curves={ODD: {"reference": (1.0, 2.0), "candidate": (1.0, 2.5)}},
    )
    return recorded(ODD, changed)


def recorded(folder: str, *reports: StepReport) -> Recorded:
    """As if read from the folder of a port."""
    named = (dataclasses.replace(report, port=folder) for report in reports)
    return Recorded(folder, {report.step: report for report in named}, {})


def _modules(one: SideInfo) -> tuple[ModuleInfo, ...]:
    return one.structure.modules if one.structure else ()


def _sides(n_layers: int) -> tuple[SideInfo, SideInfo]:
    reference = side(Role.REFERENCE, "torch")
    candidate = side(Role.CANDIDATE, "paddle")
    trees = ([ModuleInfo("", "Model")], [ModuleInfo("", "Model")])
    for tree, container in zip(trees, ("encoder.layer", "encoder.layers"), strict=True):
        tree += [ModuleInfo("encoder", "Encoder"), ModuleInfo(container, "ModuleList")]
    for layer in range(n_layers):
        for at, (tree, container) in enumerate(
            zip(trees, ("encoder.layer", "encoder.layers"), strict=True)
        ):
            tree.append(ModuleInfo(f"{container}.{layer}", "Layer"))
            known: set[str] = set()
            for part in PARTS:
                *above, _ = part[at].split(".")
                for depth in range(1, len(above) + 1):
                    if (path := ".".join(above[:depth])) not in known:
                        known.add(path)
                        tree.append(ModuleInfo(f"{container}.{layer}.{path}", "Block"))
                tree.append(ModuleInfo(f"{container}.{layer}.{part[at]}", part[2]))
    return (
        dataclasses.replace(reference, structure=Structure("torch", tuple(trees[0]), ())),
        dataclasses.replace(
            candidate, framework_version="3.3.1", structure=Structure("paddle", tuple(trees[1]), ())
        ),
    )


def _walk(n_layers: int) -> Iterator[tuple[str, str, str, str]]:
    """Reference path, candidate path, type and slot of every activation, in order."""
    for layer in range(n_layers):
        for ours, theirs, kind in PARTS:
            for slot in ("in.0", "out.0", "out.1"):
                yield (
                    f"encoder.layer.{layer}.{ours}",
                    f"encoder.layers.{layer}.{theirs}",
                    kind,
                    slot,
                )


@cache
def _numbers(size: float) -> Measurement:
    return measurement(
        rel_frobenius=size,
        norm_difference=size * 2.25,
        max_abs=size * 4,
        mean_abs=size / 3,
        shape_reference=(8, 22, 64),
        shape_candidate=(8, 22, 64),
        n_elements=11264,
        n_compared=11264,
        n_mismatched=10176,
        worst_index=(3, 7, 17),
    )


def _activations(n_layers: int) -> tuple[Comparison, ...]:
    """Sizes repeat every 16 tensors, for 50,000 are to be made in a second."""
    found = []
    plain = comparison("plain")
    for order, (ours, theirs, kind, slot) in enumerate(_walk(n_layers)):
        size = 1.1e-7 * (1 + 0.5 * math.sin(order % 16))
        found.append(
            dataclasses.replace(
                plain,
                label=f"{ours} {slot}",
                key=TensorKey(Kind.ACTIVATION, ours, slot),
                candidate_key=TensorKey(Kind.ACTIVATION, theirs, slot),
                module_type=kind,
                order=order,
                native=_numbers(size),
                twin=_numbers(size * 2e-9),
                own_reference=size * 2.1,
                own_candidate=size * 2.4,
                used=0.2 + 0.1 * math.cos(order),
            )
        )
    return tuple(found)


def _forward(n_layers: int) -> StepReport:
    found = _activations(n_layers)
    return step_report(
        Step.FORWARD,
        comparisons=found,
        headline=f"all {len(found)} pairs agree: {len(found)} rounding",
        sides=_sides(n_layers),
    )


def _diverging(n_layers: int) -> StepReport:
    found = _activations(n_layers)
    start = next(at for at, one in enumerate(found) if one.label == ORIGIN)
    wrong = tuple(
        dataclasses.replace(
            one,
            verdict=Verdict.DIVERGENT,
            outcome=Outcome.FAIL,
            native=_numbers(2e-4 * (1 + 0.3 * math.sin(one.order % 16))),
            twin=_numbers(2e-4 * (1 + 0.3 * math.sin(one.order % 16))),
            used=1.6e5,
            reason="In float64 the two sides differ by 0.0002 relative, where rounding leaves at "
            "most 1e-09: not the same mathematics. Worst at [3, 7, 17]: 0.1234 against 0.1236.",
        )
        for one in found[start:]
    )
    glue = (
        "glue before encoder.layer.20.output.dense in.0, after encoder.layer.20.intermediate.dense"
    )
    places = (
        Origin(ORIGIN, OriginKind.MODULE, "encoder.layer.17.attention.self.value", "out.0"),
        Origin(glue, OriginKind.GLUE, "encoder.layer.20.output.dense", "in.0"),
    )
    cause = Finding(
        rule="gelu-variant",
        kind=FindingKind.CAUSE,
        where=(glue,),
        claim="The reference computes GELU with erf, the candidate with tanh.",
        evidence="With erf in place of tanh the difference falls from 1.6e-04 to 3.1e-16.",
        remedy='Use nn.GELU() instead of nn.GELU(approximate=True) before "linear2".',
        before=1.6e-4,
        after=3.1e-16,
        is_confirmed=True,
    )
    unknown = Finding(
        rule="",
        kind=FindingKind.UNEXPLAINED,
        where=(ORIGIN,),
        claim="No rule explains what this module does otherwise.",
        ruled_out=("transposed weight", "missing bias", "scale"),
    )
    return step_report(
        Step.FORWARD,
        outcome=Outcome.FAIL,
        comparisons=(*found[:start], *wrong),
        headline=f"{len(wrong)} of {len(found)} pairs differ; begins at {ORIGIN} and 1 more places",
        divergence=Divergence(
            origins=(ORIGIN, glue),
            inherited=tuple(one.label for one in wrong[1:]),
            first=ORIGIN,
            places=places,
        ),
        findings=(cause, unknown),
        sides=_sides(n_layers),
        next_command="",
    )


def _metric() -> StepReport:
    found = tuple(
        comparison(
            f"{kind.value} {name}",
            Verdict.IDENTICAL if kind is Kind.INPUT else Verdict.CLOSE,
            key=TensorKey(kind, name),
            candidate_key=TensorKey(kind, name),
            basis=Basis.BITS,
            order=order,
            twin=None,
        )
        for order, (kind, name) in enumerate(
            [(Kind.INPUT, "input_ids"), (Kind.PREDICTION, "logits"), (Kind.METRIC, "accuracy")]
        )
    )
    return step_report(Step.METRIC, comparisons=found, headline="all 3 pairs agree: 1 identical")


def _scheduler() -> StepReport:
    rates = tuple(3e-5 * min(1.0, (at + 1) / 200) * (1 - at / 5000) for at in range(4000))
    key = TensorKey(Kind.LR, "lr")
    one = comparison("lr lr", Verdict.IDENTICAL, key=key, candidate_key=key, twin=None)
    return step_report(
        Step.LR_SCHEDULER,
        comparisons=(one,),
        headline="all 1 pairs agree: 1 identical",
        curves={"lr": {"reference": rates, "candidate": rates}},
    )


def _backward(n_layers: int) -> StepReport:
    loss = tuple(0.7 * math.exp(-at / 9) for at in range(10))
    near = tuple(value * (1 + 1e-7 * at) for at, value in enumerate(loss))
    gradients = tuple(
        comparison(
            f"grad {ours}.weight",
            key=TensorKey(Kind.GRADIENT, ours, "weight"),
            candidate_key=TensorKey(Kind.GRADIENT, theirs, "weight"),
            order=10_000 + order,
            native=_numbers(9e-7),
            twin=_numbers(3e-15),
        )
        for order, (ours, theirs, _, slot) in enumerate(_walk(n_layers))
        if slot == "out.0"
    )
    found = (*_activations(n_layers), *gradients)
    return step_report(
        Step.BACKWARD,
        comparisons=found,
        headline=f"all {len(found)} pairs agree: {len(found)} rounding",
        sides=_sides(n_layers),
        curves={
            "loss": {"reference": loss, "candidate": near},
            "loss float64": {"reference": loss, "candidate": loss},
            "global.norm": {"reference": loss, "candidate": near},
            "lr": {"reference": (1e-3,) * 10, "candidate": (1e-3,) * 10},
        },
    )
