"""How large tensors like this one are: the floor for what is zero in theory and noise in numbers.

Gradients, updated weights and statistics can vanish (the gradient of a key projection's bias does);
what they are compared with is the typical norm of tensors of the same kind, size and iteration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import final

from portalign.compare.norms import norm
from portalign.compare.tolerance import typical_norm
from portalign.mapping.pair import Pair
from portalign.records import Kind

_CAN_VANISH = (Kind.GRADIENT, Kind.PARAMETER, Kind.BUFFER)
_Group = tuple[Kind, int, int]


@final
class Scales:
    """Typical norms of the reference's tensors, by group.

    Args:
        pairs: everything that will be compared; read once, in bounded memory.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        norms: dict[_Group, list[float]] = defaultdict(list)
        self._arriving: dict[tuple[str, int], float] = defaultdict(float)
        for pair in pairs:
            if _can_vanish(pair):
                found = norm(pair.reference.array)
                norms[_group(pair)].append(found)
                if _arrives(pair):
                    self._arriving[_place(pair)] += found
        self._typical = {group: typical_norm(found) for group, found in norms.items()}

    def of(self, pair: Pair) -> float:
        """The typical norm around a pair; 0.0 where nothing vanishes in theory."""
        return self._typical.get(_group(pair), 0.0)

    def of_sum(self, pair: Pair) -> float:
        """The same, and for the gradient of a vector (a bias, the weight of a norm) not less than
        the gradient that arrives at its module: it is the sum of that over all positions, and where
        most of it cancels, the roundings of the summands stay.
        """
        is_vector = pair.reference.key.kind is Kind.GRADIENT and pair.reference.array.ndim == 1
        arriving = self._arriving.get(_place(pair), 0.0) if is_vector else 0.0
        return max(self.of(pair), arriving)


def _can_vanish(pair: Pair) -> bool:
    is_number = pair.reference.array.dtype.kind not in "iub"
    return pair.reference.key.kind in _CAN_VANISH and is_number


def _arrives(pair: Pair) -> bool:
    key = pair.reference.key
    return key.kind is Kind.GRADIENT and key.slot.startswith("out.")


def _place(pair: Pair) -> tuple[str, int]:
    return pair.reference.key.path, pair.reference.key.iteration


def _group(pair: Pair) -> _Group:
    key = pair.reference.key
    return key.kind, pair.reference.array.size, key.iteration
