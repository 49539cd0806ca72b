"""One unit on the other side of its threshold: what a free run does natively and no twin shows.

A ReLU's input of 1e-8 is positive on one side and not on the other; the gradients before it then
differ by per cents, on a faithful port too. A side that loses precision in an iteration loses it in
its forward pass or at its loss, and so in every gradient. Only state-grafted iterations that agree
make this distinction sound: the mathematics is known to be right.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from portalign.records import Kind
from portalign.results import Comparison, Outcome, Verdict

# A ResNet-18 (SGD 1e-3, train mode, a last batch of nine): one unit of layer3 flips on one side,
# the gradients before it lose 2e-2 to 5e-2 and those behind it 2e-5 to 6e-5. A side in low
# precision loses its 5e-4 (float16) or 4e-3 (bfloat16) in every gradient.
_SPARED = 0.01
_TRAINED = (Kind.LOSS, Kind.GRADIENT, Kind.GRADIENT_NORM, Kind.PARAMETER, Kind.BUFFER)


def settle_flips(comparisons: Sequence[Comparison], *, n_faithful: int) -> tuple[Comparison, ...]:
    """Pass what a flipped unit explains, with the reason.

    In a later iteration some gradients of one side lose more than rounding and others a hundredth
    of that: then it is no loss of precision. What the same side loses afterwards follows from it,
    for its weights are others now.

    Args:
        comparisons: of the ordinary captures.
        n_faithful: the first so many iterations agree link by link on the same state.
    """
    first = _first_flips(comparisons, n_faithful)
    return tuple(
        _flipped(one) if _loser(one) in first and _made_in(one) >= first[_loser(one)] else one
        for one in comparisons
    )


def _first_flips(comparisons: Sequence[Comparison], n_faithful: int) -> dict[str, int]:
    """Losing side -> the first iteration in which it loses some gradients and not others."""
    gradients: dict[int, list[Comparison]] = defaultdict(list)
    for one in comparisons:
        if one.key.kind is Kind.GRADIENT and 0 < one.key.iteration < n_faithful:
            gradients[one.key.iteration].append(one)
    found: dict[str, int] = {}
    for iteration in sorted(gradients):
        losses = [_lost(one, _loser(one)) for one in gradients[iteration] if _loser(one)]
        losers = {_loser(one) for one in gradients[iteration]} - {""}
        if len(losers) != 1:
            continue
        (loser,) = losers
        others = [_lost(one, loser) for one in gradients[iteration] if not _loser(one)]
        if min(others, default=math.inf) < _SPARED * min(losses):
            found.setdefault(loser, iteration)
    return found


def _lost(one: Comparison, side: str) -> float:
    """How far a side is from its twin, relative to the tensor; infinite where that isn't known."""
    own = one.own_reference if side == "reference" else one.own_candidate
    size = one.native.norm_reference
    return own / size if own is not None and size > 0 else math.inf


def _loser(one: Comparison) -> str:
    """The side that a late loss of precision is laid to; "" if there is none."""
    is_late = one.key.kind in _TRAINED and one.key.iteration > 0
    if not is_late or one.verdict is not Verdict.PRECISION:
        return ""
    return "reference" if (one.own_reference or 0.0) > (one.own_candidate or 0.0) else "candidate"


def _made_in(one: Comparison) -> int:
    """The iteration that made it: weights before iteration k came out of k - 1."""
    is_state = one.key.kind in (Kind.PARAMETER, Kind.BUFFER)
    return one.key.iteration - (1 if is_state else 0)


def _flipped(one: Comparison) -> Comparison:
    return replace(
        one,
        verdict=Verdict.ROUNDING,
        outcome=Outcome.PASS,
        reason=f"Rounding put one unit of the {_loser(one)} on the other side of its threshold (a "
        "ReLU, a maximum): other gradients of that iteration lose nothing, and every iteration "
        f"agrees on the same state. {one.reason}",
    )
