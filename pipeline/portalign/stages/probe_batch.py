"""Inputs that show what the given ones can't: rows padded on the left and on the right, sequences
longer than an attention's window.

They are made of the first given batch and of nothing else: the same ids, cut, repeated and hidden
in other places. Pure functions; who runs the models on them is `probe`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from portalign.frameworks.base import Batch
from portalign.records import Array

# Masks need few places: a sequence this long has rows that see nothing, and rows that see much.
_LEAST, _ENOUGH = 8, 16
# Places of a probe that is to go beyond a window, where the given batch has fewer.
_MOST = 1024
_Places = npt.NDArray[np.intp]


@final
@dataclass(frozen=True, slots=True)
class ProbeBatch:
    """A batch of a few rows.

    Attributes:
        fields: as the given batch has them, [rows, places, ...] or [rows, ...].
        shown: bool [rows, places]; False where a mask hides a place.
        tried: what it is, in words: "2 x 16 places, left and right padding".
    """

    fields: dict[str, Array]
    shown: Array
    tried: str


@final
@dataclass(frozen=True, slots=True)
class _Given:
    """A batch of sequences: `shown` [batch, time] is what its masks say, all True without one."""

    batch: Batch
    masks: tuple[str, ...]
    shown: npt.NDArray[np.bool_]


def probe_batches(
    batch: Batch, names: Mapping[str, str], *, windows: Sequence[int], longest: int
) -> tuple[ProbeBatch, ...]:
    """Make the batches to try, the best first: a model need not take every length.

    Args:
        batch: the first given batch.
        names: field -> argument of the model, for every field that it is given.
        windows: in places, as far as the model tells of any.
        longest: places that sequences may have where the given ones have fewer.

    Returns:
        None at all where the given batch decides everything that such a batch could, or where it
        isn't one of sequences: no ids or mask [batch, time], a field without a row for each of
        them, a field with the time in another place than the second.
    """
    given = _given(batch, names)
    if given is None:
        return ()
    n_places = given.shown.shape[1]
    is_padded = bool(given.masks) and not _has_left_padding(given.shown)
    rows = 2 if is_padded else 1
    fitting = [n for n in windows if n >= n_places and 2 * n * rows <= max(_MOST, given.shown.size)]
    lengths = [2 * max(fitting)] if fitting else []
    if is_padded:
        lengths += [min(max(n_places, _LEAST), _ENOUGH), n_places]
    wanted = [n for n in dict.fromkeys(lengths) if n >= _LEAST // 2]
    most = max(n_places, longest)
    return tuple(_made(given, n, is_padded=is_padded) for n in wanted if n <= most)


def _given(batch: Batch, names: Mapping[str, str]) -> _Given | None:
    """The batch as one of sequences; None if it isn't."""
    whole = {name: batch[name] for name in names if batch[name].ndim == 2 and batch[name].size}
    masks = tuple(name for name, array in whole.items() if _is_mask(name, names[name], array))
    ids = [name for name, array in whole.items() if array.dtype.kind in "iu" and name not in masks]
    leading = (*masks, *ids)[:1]
    if not leading:
        return None
    shape = whole[leading[0]].shape
    if any(whole[name].shape != shape for name in masks):
        return None
    for array in batch.values():
        if not array.ndim or array.shape[0] != shape[0] or shape[1] in array.shape[2:]:
            return None
    shown = np.ones(shape, bool)
    for name in masks:
        shown &= whole[name] == _shown_value(whole[name])
    return _Given(batch, masks, shown)


def _is_mask(field: str, argument: str, array: Array) -> bool:
    return "mask" in f"{field} {argument}".lower() and set(np.unique(array)) <= {0, 1}


def _shown_value(mask: Array) -> int:
    """What a mask says of a place that is shown: masks say it of most places."""
    return int(np.count_nonzero(mask) * 2 >= mask.size)


def _has_left_padding(shown: npt.NDArray[np.bool_]) -> bool:
    return bool(np.any(shown.any(axis=1) & ~shown[:, 0]))


def _made(given: _Given, n_places: int, *, is_padded: bool) -> ProbeBatch:
    n_rows = 2 if is_padded else 1
    shown = np.ones((n_rows, n_places), bool)
    if is_padded:
        shown[0, : max(n_places // 3, 1)] = False
        shown[1, n_places - max(n_places // 4, 1) :] = False
    order = np.argsort(-given.shown.sum(axis=1), kind="stable")  # rows with most to show first
    chosen = order[np.arange(n_rows) % len(order)]
    places = _places(given, chosen, shown)
    fields = {}
    for name, array in given.batch.items():
        if name in given.masks:
            value = _shown_value(array)
            fields[name] = np.where(shown, value, 1 - value).astype(array.dtype)
        elif array.shape[:2] == given.shown.shape:
            fields[name] = array[places]
        else:
            fields[name] = array[chosen]
    padding = ", left and right padding" if is_padded else ""
    return ProbeBatch(fields, shown, f"{n_rows} x {n_places} places{padding}")


def _places(
    given: _Given, chosen: _Places, shown: npt.NDArray[np.bool_]
) -> tuple[_Places, _Places]:
    """Where each place is taken from: row and column of the given batch, [rows, places] each.

    Shown places repeat what their row shows; hidden ones take what the given batch hides, the
    padding's id, or where it hides nothing what would stand there anyway.
    """
    rows = np.broadcast_to(chosen[:, None], shown.shape).copy()
    columns = np.empty(shown.shape, np.intp)
    for at, row in enumerate(chosen):
        content = np.flatnonzero(given.shown[row])
        content = content if content.size else np.arange(given.shown.shape[1])
        columns[at] = content[np.arange(shown.shape[1]) % content.size]
    hidden = np.argwhere(~given.shown)
    if hidden.size:
        rows[~shown], columns[~shown] = hidden[0]
    return rows, columns
