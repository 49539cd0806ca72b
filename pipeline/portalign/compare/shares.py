"""Share work out to forked processes where it is worth one.

Threads are no way: a piece takes numpy some twenty calls of 50 us, each of which lets go of the
interpreter lock, and waiting for it again ate what the second core gave (measured: 1.0 to 1.1 times
the rate of one thread, on two cores).
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")
MAX_PROCESSES = 4  # comparing is bound by memory from about there
WORTH_BYTES = 64 * 2**20  # a fork and its results take 20 ms, in which a core compares this much


def shared_out(
    work: Callable[[_T], _R], items: Sequence[_T], *, n_bytes: int, n_processes: int | None = None
) -> list[_R]:
    """The result of each item, in order, as ``[work(item) for item in items]`` gives them.

    Where the system forks and `n_bytes` are many, children take turns at the items. What a child
    doesn't deliver (it was killed, or the work raised) is done again here, so errors are the same.

    Args:
        work: must not change anything outside, and its results must be picklable.
        items: of about equal size; they are dealt out like cards.
        n_bytes: what `work` has to read of one side in all.
        n_processes: at most so many; by default the cores this process may use, at most four.
    """
    most = n_processes or min(MAX_PROCESSES, _n_cores())
    n_shares = min(most, len(items)) if n_bytes >= WORTH_BYTES else 1
    if n_shares < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [work(item) for item in items]
    shares = [items[first::n_shares] for first in range(n_shares)]
    children = [_start(work, share) for share in shares[1:]]
    done = [[work(item) for item in shares[0]]]
    for share, (child, end) in zip(shares[1:], children, strict=True):
        delivered = _received(end)
        child.join()
        done.append([work(item) for item in share] if delivered is None else delivered)
    return [done[at % n_shares][at // n_shares] for at in range(len(items))]


def _received(end: Connection[list[_R], list[_R]]) -> list[_R] | None:
    with end, suppress(EOFError, OSError):
        return end.recv()
    return None


def _start(
    work: Callable[[_T], _R], share: Sequence[_T]
) -> tuple[BaseProcess, Connection[list[_R], list[_R]]]:
    """Begin a share in a child; its results come through the end that is returned."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()

    def deliver() -> None:
        with suppress(Exception):  # the parent meets the same error when it does the share itself
            theirs.send([work(item) for item in share])

    child = fork.Process(target=deliver, daemon=True)
    with warnings.catch_warnings():  # Python 3.12 warns of threads; those of BLAS survive a fork
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()
    return child, ours


def _n_cores() -> int:
    with suppress(AttributeError):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
