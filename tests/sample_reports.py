"""Reports as the steps would make them, for the tests of what is written and printed."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from portalign.records import (
    Kind,
    ModuleInfo,
    ParameterInfo,
    Precision,
    Role,
    SideInfo,
    Step,
    Structure,
    TensorKey,
)
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


def measurement(**changes: Any) -> Measurement:
    """Two float32 arrays of shape [2, 3] that differ by rounding."""
    plain = Measurement(
        shape_reference=(2, 3),
        shape_candidate=(2, 3),
        dtype_reference="float32",
        dtype_candidate="float32",
        n_elements=6,
        n_compared=6,
        max_abs=1.2e-7,
        mean_abs=3.4e-8,
        rel_frobenius=5.6e-8,
        norm_difference=1.3e-7,
        norm_reference=2.25,
        norm_candidate=2.25,
        worst_index=(1, 2),
        worst_reference=0.1234,
        worst_candidate=0.1236,
        max_ulp=2.0,
        cosine=1.0,
        n_mismatched=3,
        n_nonfinite_mismatched=0,
        n_nan_reference=0,
        n_nan_candidate=0,
        n_inf_reference=0,
        n_inf_candidate=0,
        n_sign_flips=0,
        is_bitwise_equal=False,
    )
    return dataclasses.replace(plain, **changes)


def comparison(label: str, verdict: Verdict = Verdict.ROUNDING, **changes: Any) -> Comparison:
    """A pair with twins; its outcome follows from the verdict."""
    outcome = {
        Verdict.DIVERGENT: Outcome.FAIL,
        Verdict.PRECISION: Outcome.FAIL,
        Verdict.UNDECIDED: Outcome.INCONCLUSIVE,
    }.get(verdict, Outcome.PASS)
    key = TensorKey(Kind.ACTIVATION, label, "out.0")
    plain = Comparison(
        key=key,
        candidate_key=dataclasses.replace(key, iteration=1, precision=Precision.FLOAT64),
        label=label,
        how_paired="rule",
        verdict=verdict,
        basis=Basis.TWINS,
        outcome=outcome,
        native=measurement(),
        twin=measurement(rel_frobenius=8e-16),
        own_reference=1.1e-7,
        own_candidate=None,
        allowed=2e-7,
        used=0.65,
        reason=f"the {verdict.value} of it in plain words",
    )
    return dataclasses.replace(plain, **changes)


def side(role: Role, framework: str) -> SideInfo:
    """A side with a structure, as a trace would describe it."""
    state = ParameterInfo("fc.weight", "fc", "weight", "Linear", (3, 4), "float32")
    return SideInfo(
        role=role,
        framework=framework,
        framework_version="2.13.0",
        python="3.11.9",
        device="cpu",
        mode="eval",
        seed=0,
        threads=1,
        source="side.py:build",
        source_sha256="0" * 64,
        flags={"tf32": "off"},
        structure=Structure(framework, (ModuleInfo("fc", "Linear"),), (state,)),
        seconds={"import": 1.5},
        peak_memory_bytes=2**33,
    )


def step_report(step: Step = Step.FORWARD, **changes: Any) -> StepReport:
    """A passing step; `changes` replace fields."""
    plain = StepReport(
        schema=2,
        port="bert",
        step=step,
        outcome=Outcome.PASS,
        headline="2 of 2 pairs agree",
        comparisons=(comparison("encoder.0"), comparison("encoder.1")),
        unpaired=(),
        reservations=(),
        divergence=Divergence(),
        sides=(side(Role.REFERENCE, "torch"), side(Role.CANDIDATE, "paddle")),
        created="2026-01-02T03:04:05+00:00",
        settings={"size": "mini", "layers": [1, 2]},
        next_command="python steps/step2_metric.py",
        files=("forward_torch.npy", "forward_paddle.npy", "forward_diff.log"),
    )
    return dataclasses.replace(plain, **changes)


def failing_report(step: Step = Step.FORWARD) -> StepReport:
    """One pair diverges, one can't be decided, and numbers that no strict JSON has a word for."""
    return step_report(
        step,
        outcome=Outcome.FAIL,
        headline="1 of 3 pairs diverges",
        comparisons=(
            comparison("encoder.0", used=0.2),
            comparison("encoder.1", Verdict.DIVERGENT, used=math.inf, order=7),
            comparison(
                "encoder.2",
                Verdict.UNDECIDED,
                twin=None,
                basis=Basis.STRUCTURE,
                used=math.nan,
                native=measurement(cosine=math.nan, worst_reference=-math.inf),
            ),
        ),
        unpaired=(
            Unpaired("reference", TensorKey(Kind.OUTPUT, "pooled"), "no such output", True),
            Unpaired("candidate", TensorKey(Kind.ACTIVATION, "act", "out.0"), "no module", False),
        ),
        reservations=(Reservation("constant-lr", "The LR never changes."),),
        divergence=Divergence(origins=("encoder.1",), first="encoder.1"),
        curves={"lr": {"reference": (0.1, math.inf), "candidate": (0.1, math.nan)}},
        precisions=(Precision.NATIVE, Precision.FLOAT64),
    )
