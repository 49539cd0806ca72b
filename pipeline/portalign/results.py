"""What was concluded: measurements, tolerances, verdicts and reports. Facts only; import nothing of
ours but records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from portalign.findings import Blame, Finding, Growth, Origin, Probe
from portalign.records import Precision, SideInfo, Step, TensorKey


class Outcome(str, Enum):
    """Of a comparison, a step or a run. Ordered: PASS < INCONCLUSIVE < ERROR < FAIL."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """0 for PASS up to 3 for FAIL."""
        return list(Outcome).index(self)

    @property
    def exit_code(self) -> int:
        """0 aligned, 1 diverged, 2 could not decide."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1}.get(self, 2)


def worst(outcomes: list[Outcome]) -> Outcome:
    """The most severe outcome; INCONCLUSIVE when there is none, for nothing proves nothing.

    >>> worst([]).value
    'inconclusive'
    """
    return max(outcomes, key=lambda outcome: outcome.severity, default=Outcome.INCONCLUSIVE)


class Verdict(str, Enum):
    """What the difference of one pair is."""

    IDENTICAL = "identical"  # bitwise
    ROUNDING = "rounding"  # the float64 twins agree and rounding explains the rest
    PRECISION = "precision"  # the twins agree, but one side loses more than rounding
    DIVERGENT = "divergent"  # not the same mathematics (or beyond tolerance without twins)
    CLOSE = "close"  # within a tolerance, where no twin could tell
    EQUIVALENT = "equivalent"  # rewritten without changing what the model means, by number
    KNOWN = "known difference"  # the frameworks can't be made equal here, and the number fits
    UNDECIDED = "undecided"  # NaN in the reference, an empty tensor, an unpaired record


class Basis(str, Enum):
    """What a verdict rests on."""

    BITS = "bits"
    TWINS = "twins"
    TOLERANCE = "tolerance"
    STRUCTURE = "structure"  # shape, dtype kind, NaN, emptiness: no numbers needed


@dataclass(frozen=True, slots=True)
class Measurement:
    """Numbers of one pair of arrays, reference against candidate; no judgement.

    All statistics are computed in float64 over the elements that are finite on both sides, except
    the counts. ``n_compared`` is the number of those. For integers and bools differences are exact.

    Attributes:
        max_abs, mean_abs: of ``|reference - candidate|``.
        rel_frobenius: ``||reference - candidate|| / ||reference||``; 0 if both norms are 0, inf if
            only the reference's is.
        norm_difference, norm_reference, norm_candidate: Frobenius norms.
        worst_index: index of the greatest difference (or of the first non-finite mismatch).
        max_ulp: greatest distance in units in the last place of the coarser float dtype; -1 if
            not floating.
        cosine: of the flattened arrays; NaN where a norm is 0.
        n_mismatched: elements that differ at all, non-finite mismatches included.
        n_nonfinite_mismatched: elements where NaN or infinity stands against something else, or NaN
            against NaN; equal infinities match.
        n_sign_flips: elements of opposite sign, both nonzero.
        is_bitwise_equal: same dtype, shape and bytes.
    """

    shape_reference: tuple[int, ...]
    shape_candidate: tuple[int, ...]
    dtype_reference: str
    dtype_candidate: str
    n_elements: int
    n_compared: int
    max_abs: float
    mean_abs: float
    rel_frobenius: float
    norm_difference: float
    norm_reference: float
    norm_candidate: float
    worst_index: tuple[int, ...]
    worst_reference: float
    worst_candidate: float
    max_ulp: float
    cosine: float
    n_mismatched: int
    n_nonfinite_mismatched: int
    n_nan_reference: int
    n_nan_candidate: int
    n_inf_reference: int
    n_inf_candidate: int
    n_sign_flips: int
    is_bitwise_equal: bool


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a difference may be, and where that number comes from.

    A pair is allowed ``relative * ||reference|| + absolute`` in Frobenius norm of the difference.
    """

    relative: float
    absolute: float
    source: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one pair, with its evidence.

    Attributes:
        key: the reference's key.
        candidate_key: the candidate's key.
        label: how reports print the pair ("encoder.layer.0.query.weight").
        how_paired: one phrase: rule, structure, order, content.
        native: measurement of the native pair.
        twin: measurement of the float64 pair, where both exist.
        own_reference, own_candidate: norm of each side's distance to its own twin.
        allowed, used: allowance that decided the verdict and its used share (1.0 = at the limit);
            both in the unit of ``norm_difference`` of the pair that decided.
        reason: one sentence for a porter.
    """

    key: TensorKey
    candidate_key: TensorKey
    label: str
    how_paired: str
    verdict: Verdict
    basis: Basis
    outcome: Outcome
    native: Measurement
    twin: Measurement | None
    own_reference: float | None
    own_candidate: float | None
    allowed: float
    used: float
    reason: str
    module_type: str = ""
    order: int = 0


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A record that stands on one side only.

    Attributes:
        is_promised: the step can't pass without it (an output, a parameter, a loss); False for
            inner modules that the other framework simply doesn't have.
    """

    role: str
    key: TensorKey
    reason: str
    is_promised: bool


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reason why a step, though nothing differs, proves less than it seems (rule of meaning 6).

    Attributes:
        rule: short name ("same-side", "constant-lr", "too-few-keys").
        text: one or two sentences a porter understands: what was seen, why it proves nothing, what
            to do.
    """

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where differences begin.

    Attributes:
        origins: labels of pairs whose own computation differs, in execution order.
        places: the same origins, as data.
        inherited: labels of pairs that differ only because something before them does.
        unresolved: labels of pairs that differ and can't be put in either list.
        first: label of the first differing pair in execution order, None if nothing differs.
    """

    origins: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    first: str | None = None
    places: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step, concluded. Everything that reports print comes from here.

    Attributes:
        schema: version of this structure on disk.
        exchange: the keys of the values in the community's logs, in their order; the differences
            are computed by reprod_log itself from the ``.npy`` pairs.
        audit: the weight audit as sentences, one per parameter or buffer.
        next_command: what to type next.
        files: what this step wrote, relative to the port's logs folder.
        findings: why it differs, as far as rules can tell.
        blames: links of training iterations at fault, the first of each iteration first.
        growth: how the two trainings part; None for a step that doesn't train.
        probe: what differs on inputs that portalign made; None where nothing does, or none were.
        fingerprint: of the port when this was captured, for this step; "" if that isn't known.
    """

    schema: int
    port: str
    step: Step
    outcome: Outcome
    headline: str
    comparisons: tuple[Comparison, ...]
    unpaired: tuple[Unpaired, ...]
    reservations: tuple[Reservation, ...]
    divergence: Divergence
    sides: tuple[SideInfo, ...]
    notes: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()
    exchange: tuple[str, ...] = ()
    curves: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    precisions: tuple[Precision, ...] = (Precision.NATIVE,)
    created: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    next_command: str = ""
    files: tuple[str, ...] = ()
    fingerprint: str = ""
    findings: tuple[Finding, ...] = ()
    blames: tuple[Blame, ...] = ()
    growth: Growth | None = None
    probe: Probe | None = None
