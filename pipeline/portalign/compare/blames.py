"""Which link of a training iteration is at fault, in words, from the state-grafted iterations.

One blame for each part of each iteration, the first tensor that shows it named with both values.
What a link can't be parted from counts as inherited: an update is made in one go with the optimizer
state of its parameter, buffers with the outputs of the model that fills them, and where a gradient
never came, clipping, state and update had nothing to work on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from portalign.compare.chain import Link
from portalign.findings import Blame, Part
from portalign.results import Comparison


def at_fault(found: Sequence[Link]) -> tuple[Link, ...]:
    """The links that differ by their own doing, in the same order."""
    wrong = [one for one in found if one.is_wrong]
    spoilt = {(one.part, one.iteration, one.owner) for one in wrong}
    missing = {
        (one.iteration, one.owner)
        for one in wrong
        if one.part is Part.GRADIENT and one.comparison is None
    }
    return tuple(one for one in wrong if not _inherits(one, spoilt, missing))


def blames(faults: Sequence[Link]) -> tuple[Blame, ...]:
    """One blame for each part of each iteration.

    Args:
        faults: what `at_fault` found, ordered by iteration and part.
    """
    found = []
    for (iteration, part), group in groupby(faults, key=lambda one: (one.iteration, one.part)):
        first, *others = group
        more = f", and {len(others)} more" if others else ""
        verb = "are" if part in (Part.DATA, Part.BUFFERS) else "is"
        text = f"iteration {iteration}: the {part.value} {verb} at fault: {_what(first)}{more}"
        found.append(Blame(part, iteration, first.label, text))
    return tuple(found)


def _inherits(one: Link, spoilt: set[tuple[Part, int, str]], missing: set[tuple[int, str]]) -> bool:
    """Whether a wrong link follows from others of its iteration.

    Args:
        spoilt: part, iteration and owner of every wrong link.
        missing: iteration and owner of gradients that only one side has: nothing could be put in
            their place.
    """
    if one.part is Part.CLIPPING:  # a clip by a norm looks at all gradients together
        return any(iteration == one.iteration for iteration, _ in missing)
    if one.part is Part.BUFFERS:
        return (Part.GRADIENT, one.iteration, "") in spoilt
    has_gradient = (one.iteration, one.owner) not in missing
    if one.part is Part.UPDATE:
        return not has_gradient or (Part.OPTIMIZER_STATE, one.iteration, one.owner) in spoilt
    return one.part is Part.OPTIMIZER_STATE and not has_gradient


def _what(link: Link) -> str:
    if link.comparison is None:
        return link.absence
    name = link.label.rpartition(" of iteration ")[0]
    return f"{name} {_values(link.comparison)}"


def _values(one: Comparison) -> str:
    native = one.native
    if native.shape_reference != native.shape_candidate:
        return f"has shape {list(native.shape_reference)} -> {list(native.shape_candidate)}"
    values = f"{native.worst_reference:.6g} -> {native.worst_candidate:.6g}"
    if native.n_elements == 1:
        return values
    return f"at {list(native.worst_index)} {values}, {native.rel_frobenius:.1e} relative"
