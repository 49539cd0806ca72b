"""One hash over named arrays, to see that two runs started from the same weights or batches.

Writing and reading traces is next door; a hash needs neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from portalign.errors import TraceError
from portalign.records import Array
from portalign.store.shards import chunks

_CHUNK_BYTES = 4 * 2**20


def state_sha256(items: Iterable[tuple[str, Array]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order given, as 64 hex digits.

    Memory layout and byte order don't matter; order, names and dtypes do. NaN payloads and the sign
    of zero count, for bytes are hashed. No items give the hash of nothing.

    Raises:
        TraceError: an array of Python objects, which has no bytes of its own.
    """
    digest = hashlib.sha256()
    for name, array in items:
        if array.dtype.hasobject:
            raise TraceError(
                f"{name} is an array of Python objects",
                why="its bytes are addresses, and a hash of them would differ in every run",
                do="give it a numeric dtype",
            )
        head = json.dumps([name, array.dtype.name, list(array.shape), array.nbytes]).encode()
        digest.update(len(head).to_bytes(8, "little") + head)
        for piece in chunks(array, chunk_bytes=_CHUNK_BYTES):
            digest.update(piece.data)
    return digest.hexdigest()
