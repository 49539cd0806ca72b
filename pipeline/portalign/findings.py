"""Where a difference begins, which link of an iteration is at fault, and why: facts only.

`compare` finds places and blames, `diagnose` finds causes; `results.StepReport` carries them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class OriginKind(str, Enum):
    """What a difference can begin in."""

    STATE = "state"  # a parameter or buffer the run starts with
    DATA = "data"  # a batch, a learning rate, a metric: nothing captured feeds it
    MODULE = "module"  # a module's own computation, on equal inputs
    GLUE = "glue"  # code between modules
    BACKWARD = "backward"  # the gradient of a module or of glue whose forward is right
    LOSS = "loss"
    TRAINING = "training"  # clipping, learning rate, optimizer, buffers over the iterations


@dataclass(frozen=True, slots=True)
class Origin:
    """One place where differences begin, for programs; `Divergence.origins` has it in words.

    Attributes:
        label: the same text as in `Divergence.origins`.
        path: of the reference's module; for glue, of the module that the wrong tensor arrives at,
            or that holds the code.
        slot: "in.0", "out.0", "weight"; "" where it is all of the module.
        after: for glue, path of the compared module that returned last before it; for a gradient,
            of the one whose output it belongs to; "" if none.
    """

    label: str
    kind: OriginKind
    path: str
    slot: str = ""
    call: int = 0
    iteration: int = 0
    after: str = ""


class FindingKind(str, Enum):
    """What a finding means for the verdict."""

    CAUSE = "cause"  # a fault, named
    EQUIVALENCE = "equivalence"  # a legitimate transform: it differs and means the same
    KNOWN_DIFFERENCE = "known difference"  # the two frameworks can't be made equal here
    UNEXPLAINED = "unexplained"  # no rule explains this origin


@dataclass(frozen=True, slots=True)
class Finding:
    """Why something differs, with the number that shows it.

    Attributes:
        rule: short name of the rule that found it ("norm-eps"), "" if unexplained.
        where: labels of the origins it explains, in execution order; one cause is one finding.
        claim: one sentence: what differs, with both values.
        evidence: one sentence: how the difference falls when that one thing is changed.
        remedy: what the porter types; "" where there is nothing to mend.
        fitted: named values that were fitted or read off, such as "reference eps": 1e-12.
        before, after: relative difference (Frobenius, float64) at the origin before and after the
            repair; NaN where nothing was repaired.
        is_confirmed: the repair made the difference vanish; otherwise a hint.
        ruled_out: what was tried and didn't explain it.
    """

    rule: str
    kind: FindingKind
    where: tuple[str, ...]
    claim: str
    evidence: str = ""
    remedy: str = ""
    fitted: dict[str, float] = field(default_factory=dict)
    before: float = float("nan")
    after: float = float("nan")
    is_confirmed: bool = False
    ruled_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What differs on inputs that portalign made, where the given ones can't decide.

    No part of the verdict, which is about the given inputs.

    Attributes:
        tried: the inputs in words: "2 x 16 places, left and right padding".
        outputs: labels of the outputs that differ there.
        is_hidden_only: they differ at places that a mask hides and nowhere else.
        begins: label of the first place that differs.
        text: all of this in a sentence or two, with the input that would show it in a check.
        findings: why, as far as rules can tell.
    """

    tried: str
    outputs: tuple[str, ...]
    is_hidden_only: bool
    begins: str
    text: str
    findings: tuple[Finding, ...] = ()


class Part(str, Enum):
    """A link of one training iteration, in the order in which one feeds the next."""

    DATA = "data"
    LOSS = "loss"
    GRADIENT = "gradient"
    CLIPPING = "clipping"
    LR = "learning rate"
    OPTIMIZER_STATE = "optimizer state"
    UPDATE = "update"
    BUFFERS = "buffers"


@dataclass(frozen=True, slots=True)
class Blame:
    """A link of a training iteration that differs by its own doing, on the reference's own state.

    Attributes:
        label: of the first pair that shows it.
        text: one sentence with both values.
    """

    part: Part
    iteration: int
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Growth:
    """How the two free-running trainings part. Relative differences, one for each iteration.

    Attributes:
        what: "weights" (all of them as one, before each of `iterations`) or "loss".
        native, float64: of the two sides, as they run and between their twins.
        rounding: of the side that is farther from its own twin: what rounding alone does.
        native_factor, float64_factor, rounding_factor: by which each grows with every iteration,
            fitted on the logarithm; NaN with fewer than three differences that aren't zero.
        is_rounding: at the last iteration the sides are no farther apart than rounding explains,
            and their twins no farther than drift lets them.
    """

    what: str
    iterations: tuple[int, ...]
    native: tuple[float, ...]
    float64: tuple[float, ...]
    rounding: tuple[float, ...]
    native_factor: float
    float64_factor: float
    rounding_factor: float
    is_rounding: bool
