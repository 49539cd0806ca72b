"""Read the state-grafted iterations: every link of them worked on the reference's own values.

So each failing link is at fault by itself, in its iteration, several at once if there are several;
`blames` leaves out those that can't be parted from another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from portalign.compare.batch_norm import Convention, settle_grafted
from portalign.compare.curves import compare_curve
from portalign.compare.drift import kernel_tolerance
from portalign.compare.norms import norm
from portalign.compare.pairs import compare
from portalign.compare.scales import Scales
from portalign.compare.tolerance import FLOOR_EPS, MOMENT, epsilon, for_dtype
from portalign.findings import Part
from portalign.mapping.pair import Pair, pair
from portalign.mapping.weights import WeightPlan
from portalign.records import Array, Kind, Precision, Role, TensorKey, TensorRecord, Trace
from portalign.results import Comparison, Outcome, Tolerance, Unpaired

_AFTER = (Kind.PARAMETER, Kind.BUFFER, Kind.OPTIMIZER_STATE)  # those of k + 1 come out of k
_BY_PARAMETER = (Kind.OPTIMIZER_STATE, Kind.LR, Kind.GRADIENT_NORM)
_WORDS = {
    Kind.LOSS: "loss",
    Kind.DENOMINATOR: "denominator of the loss",
    Kind.ACTIVATION: "output ",
    Kind.GRADIENT: "grad ",
    Kind.GRADIENT_NORM: "clipping of ",
    Kind.LR: "learning rate of ",
    Kind.OPTIMIZER_STATE: "state ",
    Kind.PARAMETER: "update of ",
    Kind.BUFFER: "buffer ",
}


@final
@dataclass(frozen=True, slots=True)
class Link:
    """One tensor or number of one link of one iteration.

    Attributes:
        owner: the parameter or buffer it is of; "" for what the model gives out and for the loss.
        label: how reports print it.
        slot: which of the owner's arrays or numbers, as its key has it.
        comparison: None where one side has no such thing; `absence` says what then.
        pair: both sides' arrays; None where one side has none.
    """

    part: Part
    iteration: int
    owner: str
    label: str
    comparison: Comparison | None
    absence: str = ""
    slot: str = ""
    pair: Pair | None = None

    @property
    def is_wrong(self) -> bool:
        """The link gives something else on the same values."""
        return self.comparison is None or self.comparison.outcome is Outcome.FAIL


def links(
    reference: Trace,
    handed: Trace,
    candidate: Trace,
    plan: WeightPlan,
    known: Mapping[str, Convention],
) -> tuple[Link, ...]:
    """Compare both sides of the state-grafted iterations, in the order of the chain.

    Args:
        reference: the reference's trace with its initial state.
        handed: what it handed over besides; in the one precision that counts.
        candidate: of the state-grafted iterations.
        plan: which tensor went where.
        known: conventions of running variances, by the reference's name.
    """
    precision = handed.records[0].key.precision if handed.records else Precision.NATIVE
    kept = {r.key.iteration for r in candidate.records if r.key.kind is Kind.LOSS}
    everything = (*reference.records, *handed.records)
    ours = [r for r in everything if r.key.precision is precision and _belongs(r.key, kept)]
    theirs = [r for r in candidate.records if _belongs(r.key, kept)]
    pairing = pair(
        replace(reference, records=_renumbered(ours)),
        replace(candidate, records=_renumbered(theirs)),
        plan,
    )
    before = {
        (r.key.name, r.key.iteration): r.array
        for r in everything
        if r.key.kind in (Kind.PARAMETER, Kind.BUFFER)
        and (r.key.precision is precision or r.key.iteration == 0)
    }
    scales = Scales(pairing.pairs)
    found = [
        _settled(_link(each, before, scales, precision), each, before, scales, known)
        for each in pairing.pairs
    ]
    found += _absences(pairing.unpaired, pairing.pairs)
    return in_order(found)


def in_order(found: Iterable[Link]) -> tuple[Link, ...]:
    """The links by iteration, in the order in which one feeds the next."""
    return tuple(sorted(found, key=_rank))


def _settled(
    link: Link,
    pair: Pair,
    before: Mapping[tuple[str, int], Array],
    scales: Scales,
    known: Mapping[str, Convention],
) -> Link:
    """The link; a running variance that passes once it is converted is a known difference."""
    name = pair.reference.key.name
    is_wrong = link.part is Part.BUFFERS and link.is_wrong and link.comparison is not None
    if not is_wrong or link.comparison is None or name not in known:
        return link
    start = before[name, link.iteration]
    settled = settle_grafted(link.comparison, pair, start, known[name], scale=scales.of(pair))
    return replace(link, comparison=settled)


def _rank(one: Link) -> tuple[int, int, bool, bool]:
    """By iteration and link; what a loss divides by before the loss, what the model gives out
    before the gradients of its parameters.
    """
    is_divided = one.pair is not None and one.pair.reference.key.kind is Kind.DENOMINATOR
    return one.iteration, list(Part).index(one.part), bool(one.owner), not is_divided


def _belongs(key: TensorKey, kept: set[int]) -> bool:
    """It is a link of a kept iteration, not merely what one starts from."""
    if key.kind in _AFTER:
        return key.iteration - 1 in kept
    if key.kind is Kind.ACTIVATION:
        return key.iteration in kept and not key.path and key.slot.startswith("out.")
    if key.kind is Kind.GRADIENT:
        is_inner = key.slot.startswith(("in.", "out.")) and key.path != ""
        return key.iteration in kept and not is_inner and key.slot != "clipped"
    is_number = key.kind in (Kind.LOSS, Kind.DENOMINATOR, Kind.UNCUT) or (
        key.kind in _BY_PARAMETER and key.path not in ("global", "lr")
    )
    return is_number and key.iteration in kept


def _renumbered(records: Sequence[TensorRecord]) -> tuple[TensorRecord, ...]:
    """The records as a trace of their own, in one precision."""
    return tuple(
        replace(r, order=i, key=replace(r.key, precision=Precision.NATIVE), alias_of=None)
        for i, r in enumerate(records)
    )


def _part(key: TensorKey) -> Part:
    is_output = not key.path and key.slot.startswith("out.")
    if key.kind is Kind.GRADIENT:
        return Part.LOSS if is_output else Part.GRADIENT
    return {
        Kind.LOSS: Part.LOSS,
        Kind.DENOMINATOR: Part.LOSS,
        Kind.ACTIVATION: Part.GRADIENT,
        Kind.GRADIENT_NORM: Part.CLIPPING,
        Kind.LR: Part.LR,
        Kind.OPTIMIZER_STATE: Part.OPTIMIZER_STATE,
        Kind.PARAMETER: Part.UPDATE,
        Kind.BUFFER: Part.BUFFERS,
    }[key.kind]


def _link(
    one: Pair, before: dict[tuple[str, int], Array], scales: Scales, precision: Precision
) -> Link:
    key = one.reference.key
    label = _label(key)
    if key.kind is Kind.LR:
        found = compare_curve(
            one.reference.array, one.candidate.array, key=key, label=label, how_paired=one.how
        )
    elif key.kind is Kind.PARAMETER:
        found = _compare_update(one, before[key.name, key.iteration - 1], label)
    else:
        found = compare(
            one.reference.array,
            one.candidate_values(),
            key=key,
            candidate_key=one.candidate.key,
            label=label,
            how_paired=one.how,
            tolerance=_of_number(one, precision),
            scale=scales.of(one),
            module_type=one.reference.module_type,
        )
    link = Link(_part(key), _iteration(key), _owner(key), label, found)
    return replace(link, slot=key.slot, pair=one)


def _of_number(one: Pair, precision: Precision) -> Tolerance | None:
    """Numbers are recorded as doubles; those of a native run were made from float32, and moments
    with float32 coefficients.
    """
    is_state = one.reference.key.kind is Kind.OPTIMIZER_STATE
    if is_state and precision is Precision.NATIVE and one.reference.array.dtype == np.float32:
        return MOMENT
    if precision is Precision.FLOAT64 or one.reference.array.ndim:
        return None
    return kernel_tolerance(one.reference.key) or for_dtype("float32")


def _compare_update(one: Pair, before: Array, label: str) -> Comparison:
    """What the iteration added to a parameter, each side's from the reference's own weights.

    Storing a weight rounds it, so an update is known to a few roundings of the weight itself.
    """
    after = one.reference.array, one.candidate_values()
    dtype = one.reference.array.dtype
    rounding = FLOOR_EPS * epsilon(dtype.name) * norm(before)
    usual = MOMENT if dtype == np.float32 else for_dtype(dtype.name)
    return compare(
        *(_difference(each, before) for each in after),
        key=one.reference.key,
        candidate_key=one.candidate.key,
        label=label,
        how_paired=one.how,
        tolerance=Tolerance(usual.relative, rounding, usual.source),
        module_type=one.reference.module_type,
    )


def _difference(after: Array, before: Array) -> Array:
    wide = np.result_type(after.dtype, np.float32)
    return np.asarray(after.astype(wide) - before.astype(wide))


def _absences(unpaired: Sequence[Unpaired], pairs: Sequence[Pair]) -> Iterator[Link]:
    """Gradients that never came, and what only one side's optimizer keeps.

    An optimizer that doesn't hold a parameter keeps nothing for it: then the update tells.
    """
    held = {
        Role.REFERENCE.value: {p.reference.key.path for p in pairs if _is_slot(p.reference.key)},
        Role.CANDIDATE.value: {p.candidate.key.path for p in pairs if _is_slot(p.candidate.key)},
    }
    for each in unpaired:
        key = each.key
        is_gradient = key.kind is Kind.GRADIENT and _part(key) is Part.GRADIENT
        if is_gradient:
            text = f"{key.name} got a gradient on the {each.role} side only"
        elif _is_slot(key) and (key.path in held[each.role] or not held[each.role]):
            text = f"{key.path} {key.slot} is kept by the {each.role}'s optimizer only"
        else:
            continue
        yield Link(_part(key), _iteration(key), _owner(key), _label(key), None, text, key.slot)


def _is_slot(key: TensorKey) -> bool:
    is_count = key.slot == "step" or key.slot.endswith("_power")  # torch counts, paddle may not
    return key.kind is Kind.OPTIMIZER_STATE and not is_count


def _iteration(key: TensorKey) -> int:
    return key.iteration - 1 if key.kind in _AFTER else key.iteration


def _owner(key: TensorKey) -> str:
    if key.kind in _BY_PARAMETER:
        return key.path
    is_state = key.kind in (Kind.PARAMETER, Kind.BUFFER) or (
        key.kind is Kind.GRADIENT and not key.slot.startswith("out.")
    )
    return key.name if is_state else ""


def _label(key: TensorKey) -> str:
    name = f"{key.path} {key.slot}" if key.kind is Kind.OPTIMIZER_STATE else _owner(key)
    words = f"{_WORDS[key.kind]}{name or key.slot.removeprefix('out.')}"
    if key.kind is Kind.DENOMINATOR and key.call:
        words += f" of batch {key.call}"
    return f"{words} of iteration {_iteration(key)}, state-grafted"
