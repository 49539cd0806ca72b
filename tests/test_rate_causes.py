"""Why learning rate curves differ: a fault is named with its numbers, or unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from portalign.compare.chain import Link
from portalign.compare.curves import compare_curve
from portalign.diagnose import engine
from portalign.diagnose.curves import explain, explain_rates
from portalign.diagnose.engine import Doctor
from portalign.diagnose.evidence import Evidence
from portalign.diagnose.rates.groups import groups
from portalign.diagnose.rates.schedule import Schedule
from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.findings import Finding, FindingKind, Part
from portalign.mapping.layouts import AS_IS
from portalign.mapping.pair import Pair, Pairing
from portalign.records import Kind, TensorKey, TensorRecord
from portalign.request import Spec
from portalign.results import Divergence

Rates = npt.NDArray[np.float64]
N, LR = 101, 1e-3
POINTS = np.arange(N)


def schedule(name: str, **arguments: Any) -> Schedule:
    return Schedule(name, resolve(Area.LR_SCHEDULER, Spec(name, args=arguments)), LR)


def port(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reference": {"framework": "torch"},
        "candidate": {"framework": "paddle"},
        "optimizer": {"name": "sgd", "lr": LR},
        "lr_scheduler": entry,
    }


@dataclass(frozen=True)
class Fault:
    """A reference's schedule, what the candidate gives, and what must be said of it."""

    reference: Schedule
    candidate: Rates
    rule: str
    says: str
    fitted: dict[str, float] = field(default_factory=dict)
    can_be_own: bool = True  # found as well when only functions of the porter are known


COSINE = schedule("cosine_warmup", warmup=10, total=100)
COSINE_RATES = COSINE.curve(N)
LINEAR = schedule("linear_warmup", warmup=10, total=100)
STEP = schedule("step", step_size=30)
STEPS = schedule("multi_step", milestones=[20, 50], gamma=0.3)
POLYNOMIAL = schedule("polynomial", total=80, power=2.0)
EXPONENTIAL = schedule("exponential", gamma=0.95)
RESTARTS = schedule("cosine_warm_restarts", t_0=12, t_mult=2)
ONE_CYCLE = schedule("one_cycle", max_lr=0.01, total=120)
CYCLIC = schedule("cyclic", max_lr=0.01, step_size_up=8)
LOSSES = [1.0, *[1.1] * 4, 0.5, *[0.8] * 120]
PLATEAU = schedule("reduce_on_plateau", metrics=LOSSES, patience=3, cooldown=4, factor=0.5)
IN_A_ROW = schedule(
    "sequential",
    schedules=[{"name": "linear", "start": 0.1, "total": 10}, {"name": "cosine", "t_max": 50}],
    milestones=[10],
)


def other(one: Schedule, argument: str, value: Any) -> Rates:
    return one.changed((argument,), value).curve(N)


def argument(one: Schedule, name: str, value: Any, *, can_be_own: bool = True) -> Fault:
    known = one.arguments[name]
    says = f"{name} {known:.6g} against {value:.6g} ({one.name})"
    fitted = {f"reference {name}": known, f"candidate {name}": value}
    return Fault(one, other(one, name, value), "lr-argument", says, fitted, can_be_own)


FAULTS = {
    "never stepped": Fault(
        COSINE,
        np.full(N, COSINE_RATES[0]),
        "lr-never-stepped",
        "the candidate's learning rate stays at 0",
    ),
    "no scheduler": Fault(LINEAR, np.full(N, LR), "lr-never-stepped", "stays at 0.001"),
    "one ahead": Fault(
        COSINE,
        COSINE.curve(N + 1)[1:],
        "lr-shift",
        "1 step ahead of the reference's: it is stepped once before the first update",
        {"steps": 1.0},
    ),
    "one behind": Fault(
        COSINE,
        np.concatenate([COSINE_RATES[:1], COSINE_RATES[:-1]]),
        "lr-shift",
        "1 step behind the reference's: its first step is left out",
        {"steps": -1.0},
    ),
    "three ahead": Fault(LINEAR, LINEAR.curve(N + 3)[3:], "lr-shift", "3 steps ahead"),
    "stepped per epoch": Fault(
        COSINE,
        COSINE_RATES[POINTS // 10],
        "lr-pace",
        "once in 10 iterations, the reference at each (stepped per epoch",
        {"iterations a step": 10.0},
    ),
    "stepped twice": Fault(
        COSINE, COSINE.curve(2 * N)[::2], "lr-pace", "steps its scheduler 2 times", can_be_own=False
    ),
    "scaled": Fault(
        COSINE, 2 * COSINE_RATES, "lr-scale", "is 2 times the reference's", {"factor": 2.0}
    ),
    "warmup": argument(COSINE, "warmup", 12),
    "no warmup": argument(LINEAR, "warmup", 0),
    "warmup from 1e-8": Fault(
        COSINE,
        other(COSINE, "start_lr", 1e-8),
        "lr-argument",
        "start of the warmup 0 against 1e-08",
    ),
    "warmup counted from one": Fault(
        COSINE,
        other(COSINE, "first", 1),
        "lr-argument",
        "first count of the warmup 0 against 1",
    ),
    "cycles": argument(COSINE, "num_cycles", 1.0),
    "total": argument(COSINE, "total", 90),
    "total of a linear decay": argument(LINEAR, "total", 110),
    "power": argument(POLYNOMIAL, "power", 1.0),
    "end LR": argument(POLYNOMIAL, "end_lr", 1e-4),
    "gamma": argument(EXPONENTIAL, "gamma", 0.9),
    "gamma of steps": argument(STEPS, "gamma", 0.1),
    "step size": argument(STEP, "step_size", 20),
    "milestones": Fault(
        STEPS,
        other(STEPS, "milestones", [20, 60]),
        "lr-argument",
        "milestones [20, 50] against [20, 60]",
    ),
    "length of the first cycle": argument(RESTARTS, "t_0", 10),
    "lengthening of the cycles": argument(RESTARTS, "t_mult", 1),
    "end of one cycle": argument(ONE_CYCLE, "final_div_factor", 4.0, can_be_own=False),
    "top of a cycle": argument(CYCLIC, "max_lr", 0.02, can_be_own=False),
    "mode of a cycle": Fault(
        CYCLIC,
        other(CYCLIC, "mode", "triangular2"),
        "lr-argument",
        "mode triangular against triangular2",
        can_be_own=False,
    ),
    "patience": argument(PLATEAU, "patience", 5, can_be_own=False),
    "the second of two": Fault(
        IN_A_ROW,
        IN_A_ROW.changed(("schedules", 1, "t_max"), 60).curve(N),
        "lr-argument",
        "schedule 2's t_max 50 against 60",
        can_be_own=False,
    ),
    "another schedule": Fault(
        LINEAR,
        COSINE_RATES,
        "lr-schedule",
        "the candidate cosine_warmup (",
    ),
    "two arguments": Fault(
        COSINE,
        COSINE.changed(("warmup",), 12).changed(("num_cycles",), 1.0).curve(N),
        "lr-argument",
        "warmup 10 against 12 and num_cycles 0.5 against 1",
    ),
}
CASES = [
    pytest.param(fault, how, id=f"{name}, {how}")
    for name, fault in FAULTS.items()
    for how in ("named", "functions")
    if how == "named" or fault.can_be_own
]


def settings(one: Schedule, how: str) -> dict[str, Any]:
    """The port file: it names the schedule, or functions and the length of the curve."""
    if how == "functions":
        return port({"torch": "a.py:fn", "paddle": "b.py:fn", "total": 100})
    entry = {key: value for key, value in one.arguments.items() if value is not None}
    for schedule in entry.get("schedules", ()):
        for pace in ("every", "probe", "total") if schedule["name"] == "cosine" else ("every",):
            schedule.pop(pace, None)
    return port({"name": one.name, **entry})


def found(fault: Fault, how: str = "named") -> Finding:
    reference = fault.reference.curve(N)
    return explain(reference, fault.candidate, settings(fault.reference, how), where="lr")


@pytest.mark.parametrize(("fault", "how"), CASES)
def test_a_fault_is_named_with_its_numbers(fault: Fault, how: str) -> None:
    finding = found(fault, how)

    assert (finding.kind, finding.is_confirmed) == (FindingKind.CAUSE, True), finding
    assert finding.rule == fault.rule
    assert fault.says in finding.claim
    assert finding.remedy
    assert finding.where == ("lr",)
    assert finding.after < 1e-9 < finding.before
    for name, value in fault.fitted.items():
        assert finding.fitted[name] == pytest.approx(value, rel=1e-9)


def test_the_bert_cosine_of_the_field_is_named() -> None:
    reference = schedule("cosine_warmup", warmup=10, total=100, num_cycles=1.0)

    for how in ("named", "functions"):
        fault = Fault(reference, COSINE_RATES, "lr-argument", "num_cycles 1 against 0.5")
        finding = found(fault, how)

        assert finding.claim.startswith("num_cycles 1 against 0.5 (cosine_warmup)")
        # Half a cosine over 90 steps is a whole one over 180: no number can tell.
        assert "can't tell it from total 100 against 190" in finding.claim


def test_explanations_that_give_the_same_curve_are_both_told() -> None:
    fault = Fault(EXPONENTIAL, EXPONENTIAL.curve(N + 1)[1:], "lr-shift", "")

    claim = found(fault).claim

    assert "1 step ahead" in claim
    assert "the curve can't tell it from every learning rate of the candidate is 0.95" in claim


def test_a_reference_that_is_never_stepped_is_told_as_such() -> None:
    finding = explain(np.full(N, LR), COSINE_RATES, port({"name": "constant"}), where="lr")

    assert finding.rule == "lr-never-stepped"
    assert "the reference's learning rate stays at 0.001" in finding.claim


def test_stepping_per_iteration_where_the_reference_steps_per_epoch_is_told() -> None:
    slow = COSINE_RATES[POINTS // 10]

    finding = explain(slow, COSINE_RATES, settings(COSINE, "functions"), where="lr")

    assert finding.rule == "lr-pace"
    assert "at each iteration, the reference once in 10" in finding.claim


def test_what_the_port_file_gives_the_sides_is_told_first() -> None:
    entry = {"name": "cosine_warmup", "warmup": 10, "total": 100, "candidate": {"total": 90}}
    candidate = other(COSINE, "total", 90)

    finding = explain(COSINE_RATES, candidate, port(entry), where="lr")

    assert finding.claim == "total 100 against 90 (cosine_warmup)"


def test_the_cooldown_of_a_plateau_is_a_known_difference_of_the_frameworks() -> None:
    finding = found(Fault(PLATEAU, other(PLATEAU, "is_blind", True), "lr-plateau-cooldown", ""))

    assert finding.kind is FindingKind.KNOWN_DIFFERENCE
    assert finding.rule == "lr-plateau-cooldown"
    assert finding.before > 0.1  # the number by which the frameworks differ
    assert "counts in torch's ReduceLROnPlateau and not in paddle's" in finding.claim


def rates_of(owner: str, reference: Rates, candidate: Rates) -> list[Link]:
    """Links of a parameter whose rates these are."""
    found = []
    for k, values in enumerate(zip(reference, candidate, strict=True)):
        key = TensorKey(Kind.LR, owner, "rate", iteration=k)
        ours, theirs = (TensorRecord(key, 0, np.array(value), "float64") for value in values)
        label = f"learning rate of {owner} of iteration {k}"
        one = compare_curve(ours.array, theirs.array, key=key, label=label, how_paired="")
        pair = Pair(ours, theirs, AS_IS, "", label)
        found.append(Link(Part.LR, k, owner, label, one, slot="rate", pair=pair))
    return found


def of_groups(links: list[Link], entry: Mapping[str, Any], own: Rates) -> list[Finding]:
    pairs = tuple(each.pair for each in rates_of("lr", own, own) if each.pair)
    pairing = Pairing(pairs, (), {}, {})
    nothing: Any = None
    sides = (nothing, nothing, nothing)
    evidence = Evidence(*sides, pairing, (), Divergence(), port(entry), links=tuple(links))
    return list(explain_rates(evidence).values())


def test_the_rates_of_a_group_are_explained_by_the_schedule_on_its_own_base() -> None:
    own, entry = EXPONENTIAL.curve(12), {"name": "exponential", "gamma": 0.95}
    links = [
        *rates_of("body.weight", own, own),
        *rates_of("head.weight", 0.1 * own, 0.1 * other(EXPONENTIAL, "gamma", 0.9)[:12]),
        *rates_of("head.bias", 0.1 * own, 0.1 * other(EXPONENTIAL, "gamma", 0.9)[:12]),
    ]

    (finding,) = of_groups(links, entry, own)

    assert finding.claim == ("for head.weight, head.bias: gamma 0.95 against 0.9 (exponential)")
    assert finding.where == ("learning rate of head.weight of iteration 1",)


def test_where_a_group_ends_is_a_known_difference_of_the_frameworks() -> None:
    schedule_of_all = schedule("cosine", t_max=8, eta_min=1e-4)
    own = schedule_of_all.curve(12)
    in_torch = schedule_of_all.changed(("lr",), 0.1 * LR).curve(12)
    links = [*rates_of("body", own, own), *rates_of("head", in_torch, 0.1 * own)]

    (finding,) = of_groups(links, {"name": "cosine", "t_max": 8, "eta_min": 1e-4}, own)

    assert finding.kind is FindingKind.KNOWN_DIFFERENCE
    assert finding.rule == "lr-group-end"
    assert finding.claim.startswith("for head: a schedule that ends above 0 ends there")


def test_groups_that_follow_the_optimizers_own_rates_are_not_told_again() -> None:
    links = rates_of("head", 0.1 * COSINE_RATES, 0.2 * COSINE_RATES)
    main = rates_of("lr", COSINE_RATES, 2 * COSINE_RATES)
    own, group = (groups(each)[0] for each in (main, links))

    assert group.follows(own)
    assert not group.follows(groups(rates_of("lr", COSINE_RATES, COSINE_RATES))[0])


UNEXPLAINED = {
    "wavy": COSINE_RATES * (1 + 1e-3 * np.sin(POINTS)),
    "one point": COSINE_RATES + 1e-5 * (POINTS == 50),
    "reversed": COSINE_RATES[::-1].copy(),
    "a wrong tail": np.where(POINTS > 80, COSINE_RATES * 1.5, COSINE_RATES),
    "NaN": np.where(POINTS > 80, np.nan, COSINE_RATES),
    "shorter": COSINE_RATES[:50],
}


@pytest.mark.parametrize("how", ["named", "functions"])
@pytest.mark.parametrize("candidate", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_fault_of_another_kind_is_unexplained(candidate: Rates, how: str) -> None:
    finding = explain(COSINE_RATES, candidate, settings(COSINE, how), where="lr")

    assert finding.kind is FindingKind.UNEXPLAINED
    assert not finding.is_confirmed
    assert finding.rule == finding.remedy == ""
    assert finding.ruled_out


def test_three_points_explain_little_and_nothing_is_invented() -> None:
    finding = explain(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0]), port({}), where="lr")

    assert finding.kind is FindingKind.UNEXPLAINED


def test_an_explanation_that_breaks_is_a_note_and_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object) -> dict[str, Finding]:
        raise RuntimeError("no curve")

    monkeypatch.setattr(engine, "explain_rates", broken)
    for name in ("scores", "state", "rounded", "draws", "training"):
        monkeypatch.setattr(engine, f"explain_{name}", lambda _: {})
    doctor = Doctor()

    assert doctor.numbers(None) == {}  # type: ignore[arg-type]  # never looked at
    assert doctor.notes == ["the learning rates could not be explained: RuntimeError: no curve"]
