"""The arrays of what numpy or reprod_log pickled, by dotted name.

`portalign.foreign.unpickler` rebuilds the content; here it is flattened, and what is no array is
refused by name.
"""

from __future__ import annotations

import mmap
from typing import IO

import numpy as np

from portalign.errors import InputError
from portalign.foreign.unpickler import Rebuilt, Unpickler
from portalign.records import Array

_MAX_ENTRIES = 1_000_000  # a pickle of a few hundred bytes can pretend to hold any number
_MAX_DEPTH = 32


def read(file: IO[bytes] | mmap.mmap, *, name: str, is_prefixed: bool) -> dict[str, Array]:
    """The arrays of a pickle, read from where `file` stands.

    Args:
        file: of a read-only map, arrays of a page and more stay views; of a file they are copied.
        name: of the array, if one is all there is, and of the items of a list ("name.0").
        is_prefixed: put `name` before the names in a dict, too.

    Returns:
        Read-only arrays in order, by dotted name; numbers and lists of numbers become arrays.

    Raises:
        InputError: the pickle names a global it may not; the message says which.
        ValueError: it is damaged, or holds something that is no array.
    """
    try:
        content = Unpickler(file).load()
    except InputError:
        raise
    except Exception as err:  # a hostile pickle can raise anything
        raise ValueError(f"its pickle is broken: {type(err).__name__}: {str(err)[:200]}") from err
    if isinstance(content, Rebuilt) and isinstance(content.content, dict):
        content = content.content
    return _flatten(content, name=name if is_prefixed or not isinstance(content, dict) else "")


def _flatten(content: object, *, name: str) -> dict[str, Array]:
    """Arrays by dotted name, depth first; no recursion, for a stranger chose the depth."""
    arrays: dict[str, Array] = {}
    waiting: list[tuple[str, object, int]] = [(name, content, 0)]
    n_entries = 0
    while waiting:
        place, value, depth = waiting.pop()
        n_entries += len(value) if isinstance(value, (dict, list, tuple)) else 1
        if n_entries > _MAX_ENTRIES or depth > _MAX_DEPTH:
            raise ValueError("it holds too much, or holds itself")
        if isinstance(value, Rebuilt):
            waiting.append((place, value.content, depth + 1))
        elif isinstance(value, (dict, list, tuple)) and not _is_numbers(value):
            below = [(inner, item, depth + 1) for inner, item in _below(place, value)]
            waiting.extend(reversed(below))
        elif place in arrays:
            raise ValueError(f"it holds {place!r:.80} twice")
        else:
            arrays[place] = _leaf(place, value)
    return arrays


def _below(
    place: str, value: dict[object, object] | list[object] | tuple[object, ...]
) -> list[tuple[str, object]]:
    if not value and place:
        raise ValueError(f"{place!r:.80} is an empty dict")
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [(_joined(place, key), item) for key, item in items]


def _joined(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _is_numbers(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(_is_number(item) for item in value)


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float, complex))


def _leaf(place: str, value: object) -> Array:
    if not isinstance(value, np.ndarray) and not _is_number(value) and not _is_numbers(value):
        kind = bytes if isinstance(value, memoryview) else type(value)
        what = "None" if value is None else f"a {kind.__name__.strip('_')}"
        raise ValueError(f"{place!r:.80} is {what}, not an array")
    array: Array = np.asarray(value)
    if array.dtype.kind == "O":
        raise ValueError(f"{place!r:.80} has integers beyond 64 bits")
    array.flags.writeable = False
    return array
