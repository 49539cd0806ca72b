"""What goes into the community's exchange files: both sides' arrays, made fit for reprod_log.

Pure: `reprod` writes what is decided here. A key that reprod_log would misjudge gets its mean
difference from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Union

import numpy as np

from portalign.errors import ReportError
from portalign.records import Array

Tree = Mapping[str, Union[Array, "Tree"]]
KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the log.

    Attributes:
        path: names from the outermost group to the key.
        reference, candidate: numbers, one dimension or more; None where that side lacks it.
        mean: mean difference to write where reprod_log can't be left to find it; inf fails the
            key. None: reprod_log computes it.
    """

    path: KeyPath
    reference: Array | None
    candidate: Array | None
    mean: float | None


def entries_of(reference: Tree, candidate: Tree) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Return the entries in the reference's order, the candidate's own keys last, and notes.

    A note names each key that is skipped or whose mean is not reprod_log's, and why.

    Raises:
        ReportError: a key isn't text or breaks the line.
    """
    notes: list[str] = []
    sides = [_exchangeable(tree, notes) for tree in (reference, candidate)]
    entries = []
    for path in dict.fromkeys([*sides[0], *sides[1]]):
        first, second = (side.get(path) for side in sides)
        mean, why = _own_mean(first, second)
        if why:
            notes.append(f"{'.'.join(path)}: {why}")
        entries.append(Entry(path, first, second, mean))
    _refuse_clashes([entry.path for entry in entries])
    return tuple(entries), tuple(dict.fromkeys(notes))


def widen(array: Array) -> Array | None:
    """Return the array in a type whose differences neither wrap nor round away; None if none.

    float16, bfloat16, float8 and bool -> float32; integers -> int64, uint64 -> float64; float32,
    float64 and complex as they are. Scalars get shape ``(1,)``. Text, dates and objects: None.

    >>> widen(np.array(True))
    array([1.], dtype=float32)
    """
    name, kind = array.dtype.name, array.dtype.kind
    wide: Array
    if name in ("float16", "bool") or name.startswith(("bfloat", "float8", "float6", "float4")):
        wide = array.astype(np.float32)
    elif kind in "iu" or name in ("int2", "int4", "uint2", "uint4"):
        wide = array.astype(np.float64 if name == "uint64" else np.int64)
    elif kind in "fc":
        wide = array
    else:
        return None
    return np.atleast_1d(wide)


def _exchangeable(tree: Tree, notes: list[str]) -> dict[KeyPath, Array]:
    kept = {}
    for path, array in _flat(tree, ()):
        wide = widen(np.asarray(array))
        label = ".".join(path)
        if wide is None:
            notes.append(f"{label}: skipped, {array.dtype} values have no difference")
        elif not wide.size:
            notes.append(f"{label}: skipped, an array of shape {list(array.shape)} is empty")
        else:
            kept[path] = wide
    return kept


def _flat(tree: Tree, above: KeyPath) -> Iterator[tuple[KeyPath, Array]]:
    for name, value in tree.items():
        if not isinstance(name, str) or not name or len(name.splitlines()) != 1:
            raise ReportError(
                f"{name!r} can't be a key of the log",
                why="each key is one line of it",
                do="rename the output or field to one line of text",
            )
        if isinstance(value, Mapping):
            yield from _flat(value, (*above, name))
        else:
            yield (*above, name), value


def _own_mean(reference: Array | None, candidate: Array | None) -> tuple[float | None, str]:
    """The mean that stands in for reprod_log's, and why; (None, "") where reprod_log is right."""
    if reference is None or candidate is None:
        return math.inf, f"only the {'candidate' if reference is None else 'reference'} has it"
    if reference.shape != candidate.shape:
        shapes = f"{list(reference.shape)} and {list(candidate.shape)}"
        return math.inf, f"shapes differ: {shapes}; nothing was broadcast or transposed"
    is_finite = np.isfinite(reference) & np.isfinite(candidate)  # [*shape]
    n_other = int(is_finite.size - np.count_nonzero(is_finite))
    if not n_other:
        return None, ""
    is_matched = reference[~is_finite] == candidate[~is_finite]  # False for NaN
    if not is_matched.all():
        n_bad = int(n_other - np.count_nonzero(is_matched))
        return (
            math.inf,
            f"{n_bad} of {is_finite.size} elements are NaN, or infinite on one side only",
        )
    if n_other == is_finite.size:
        return 0.0, "all elements are equal infinities"
    finite = np.abs(reference[is_finite].astype(complex) - candidate[is_finite].astype(complex))
    return float(finite.mean()), f"{n_other} equal infinities are left out of the mean"


def _refuse_clashes(paths: list[KeyPath]) -> None:
    groups = {path[:depth] for path in paths for depth in range(1, len(path))}
    if clash := groups & set(paths):
        raise ReportError(
            f"{'.'.join(min(clash))} is an array on one side and a group on the other",
            why="the log has one line per key and can't hold both",
            do="give outputs of the same name the same nesting on both sides",
        )
