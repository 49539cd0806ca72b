"""What a library may do to weights without changing what the model computes, and which of it was
done to one tensor.

Norm weights folded into what reads them, means taken out that the next norm or the softmax takes
out anyway (TransformerLens' `process_weights` and its kind). Each is tried by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portalign.diagnose.orders import matched, said

Numbers = npt.NDArray[np.float64]

# What rewriting in float32 may leave: at most 2.8e-7 over the 163 rewritten weights of GPT-2 small,
# 1.0e-6 in a reduced one. Of wrong transforms of those weights the closest leaves 1.7e-3.
CLOSE = 1e-5
# Rows looked at before the whole tensor is: a wrong transform shows in the first few.
_N_ROWS = 16


@dataclass(frozen=True, slots=True)
class Transform:
    """What was done to a tensor, in order, in words that stand for one kind of rewriting.

    Attributes:
        kinds: such as "scaled by a norm's weight", "centred over the vocabulary".
        detail: with the names it was done with.
        left: relative difference (Frobenius) that remains.
    """

    kinds: tuple[str, ...]
    detail: str
    left: float


def relative(found: Numbers, target: Numbers) -> float:
    """Frobenius norm of the difference over the target's; the difference's where that is 0."""
    norm = float(np.linalg.norm(target))
    return float(np.linalg.norm(found - target)) / (norm or 1.0)


def of_matrix(
    original: Numbers, target: Numbers, norms: Mapping[str, Numbers], *, n_vocabulary: int = 0
) -> Transform | None:
    """How `target` comes from `original`, both [a, b]: a norm's weight folded in, means taken out.

    Args:
        norms: weights of norms by name; one is tried on an axis of its own length.
        n_vocabulary: an axis of this length is called the vocabulary.

    Returns:
        The simplest transform that leaves less than 1e-5; None if there is none, or they are equal.
    """
    found = [one for one in _of_matrix(original, target, norms, n_vocabulary) if one.left <= CLOSE]
    return min(found, key=lambda one: len(one.kinds), default=None)


def of_bias(
    original: Numbers, target: Numbers, folded: Sequence[tuple[str, Numbers]]
) -> Transform | None:
    """How a bias [b] comes from another: what a folded vector adds to it, its mean taken out.

    Args:
        folded: names of vectors, and what each adds, [b], behind the bias's own weight.
    """
    steps: list[tuple[tuple[str, ...], str, Numbers]] = [((), "", original)]
    steps += [(("a bias folded in",), name, original + added) for name, added in folded]
    found = []
    for kinds, name, value in steps:
        detail = f"{name} through its weight" if name else ""
        centred = (
            (*kinds, "centred"),
            f"{detail}, less its mean".strip(", "),
            value - value.mean(),
        )
        for what, text, result in ((kinds, detail, value), centred):
            left = relative(result, target)
            if what and left <= CLOSE:
                found.append(Transform(what, text, left))
    return min(found, key=lambda one: len(one.kinds), default=None)


def of_order(original: Numbers, target: Numbers) -> Transform | None:
    """In which order `target` has the rows and columns of `original`, element for element.

    Args:
        original, target: of one shape, [a] or [a, b].

    Returns:
        None where they are equal, or the elements are not the same ones.
    """
    if original.shape != target.shape or original.ndim not in (1, 2) or not original.size:
        return None
    orders = _orders(original.reshape(len(original), -1), target.reshape(len(target), -1))
    if orders is None:
        return None
    moved = original
    kinds, details = [], []
    for axis, order in enumerate(orders[: original.ndim]):
        if order == list(range(len(order))):
            continue
        moved = np.take(moved, order, axis)
        what = "numbers" if original.ndim == 1 else ("rows", "columns")[axis]
        kinds.append(f"{what} in another order")
        details.append(f"its {len(order)} {what} stand {said(order)}")
    if not kinds or not np.array_equal(moved, target):
        return None
    return Transform(tuple(kinds), " and ".join(details), 0.0)


def _orders(ours: Numbers, theirs: Numbers) -> tuple[list[int], list[int]] | None:
    """Orders of rows and columns: rows are known by sums that no order of columns changes."""
    features = [
        np.stack([np.sort(each, axis=1)[:, at] for at in (0, -1)] + [np.sort(each).sum(1)], axis=1)
        for each in (ours, theirs)
    ]
    rows = matched(*features)
    if rows is None or sorted(rows) != list(range(len(ours))):
        return None
    columns = matched(ours[rows].T, theirs.T)
    if columns is None or sorted(columns) != list(range(ours.shape[1])):
        return None
    return rows, columns


def _of_matrix(
    original: Numbers, target: Numbers, norms: Mapping[str, Numbers], n_vocabulary: int
) -> Iterator[Transform]:
    for kinds, detail, row, column in _scalings(original.shape, norms):
        for axes in ((), (0,), (1,), (0, 1), (1, 0)):
            if not kinds and not axes:
                continue
            if not _may_be(original, target, row, column, axes):
                continue
            value = original * row[:, None] * column[None, :]
            for axis in axes:
                value = value - value.mean(axis, keepdims=True)
            centred = tuple(f"centred over {_axis(original, a, n_vocabulary)}" for a in axes)
            yield Transform((*kinds, *centred), detail, relative(value, target))


def _axis(matrix: Numbers, axis: int, n_vocabulary: int) -> str:
    if matrix.shape[axis] == n_vocabulary:
        return "the vocabulary"
    return f"its {matrix.shape[axis]} {'rows' if axis == 0 else 'columns'}"


def _scalings(
    shape: Sequence[int], norms: Mapping[str, Numbers]
) -> Iterator[tuple[tuple[str, ...], str, Numbers, Numbers]]:
    """No scaling, then each norm's weight along each axis that it fits."""
    ones = np.ones(shape[0]), np.ones(shape[1])
    yield (), "", *ones
    for name, weight in norms.items():
        kinds, detail = ("a norm's weight folded in",), f"times {name}"
        if len(weight) == shape[0]:
            yield kinds, detail, weight, ones[1]
        if len(weight) == shape[1]:
            yield kinds, detail, ones[0], weight


def _may_be(
    original: Numbers, target: Numbers, row: Numbers, column: Numbers, axes: Sequence[int]
) -> bool:
    """A look at a few rows, where means over the rows only shift each column by a constant."""
    few = slice(None, _N_ROWS)
    value = original[few] * row[few, None] * column[None, :]
    aim = target[few]
    if 1 in axes:
        value = value - value.mean(1, keepdims=True)
        aim = aim - aim.mean(1, keepdims=True)
    if 0 in axes:
        value, aim = value - value[:1], aim - aim[:1]
    return relative(value, aim) <= 100 * CLOSE
