"""Random numbers of a training run: the reference's are recorded, every other run gets them again.

With them both sides drop the same elements, natively, in the float64 twin and in grafted passes.
Each iteration's draws are a trace of their own (``<step>/draws/<iteration>/``), so that the
candidate, which reads it at its first draw, stays one iteration behind and no more.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np

from portalign.frameworks.base import Model, Source
from portalign.mapping.draws import Draw, Matched, as_kind, partners
from portalign.records import Array, Kind, Role, TensorKey, Trace
from portalign.stages import exchange, weights
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session
from portalign.store import TraceWriter
from portalign.store.layout import DRAWS, MANIFEST

_TERMS = ".terms"


def replayed(
    session: Session, model: Model, iteration: int, *, recorder: Recorder | None = None
) -> AbstractContextManager[None]:
    """Open around one iteration's forward, loss and backward: its random numbers are the recorded.

    The reference's first run of an iteration draws and is recorded. Does nothing in eval mode.

    Args:
        recorder: notes every draw (its terms and shape, not its numbers), for the report.
    """
    if session.request.mode != "train":
        return nullcontext()
    folder = session.folder / DRAWS / f"{iteration:05d}"
    is_first = session.request.role is Role.REFERENCE and not (folder / MANIFEST).exists()
    random.seed(session.request.seed + iteration)  # for models that drop by Python's own generators
    np.random.seed(session.request.seed + iteration)  # noqa: NPY002
    if is_first:
        return _recorded(session, model, folder, iteration, recorder)
    return _given(session, model, folder, iteration, recorder)


@contextmanager
def _recorded(
    session: Session, model: Model, folder: Path, iteration: int, recorder: Recorder | None
) -> Iterator[None]:
    writer = TraceWriter(folder)
    with session.framework.drawing(model, _Recording(session, writer, iteration, recorder)):
        yield
    writer.finish(session.info())


@contextmanager
def _given(
    session: Session, model: Model, folder: Path, iteration: int, recorder: Recorder | None
) -> Iterator[None]:
    source = _Replay(session, folder, iteration, recorder)
    with session.framework.drawing(model, source):
        yield
    source.tell()


@final
class _Recording(Source):
    """Lets every draw pass and writes it down."""

    def __init__(
        self, session: Session, writer: TraceWriter, iteration: int, recorder: Recorder | None
    ) -> None:
        self._session = session
        self._writer = writer
        self._iteration = iteration
        self._recorder = recorder
        self._counts: Counter[str] = Counter()

    def draw(self, path: str, kind: str, terms: tuple[float, ...], own: Array) -> None:
        key = TensorKey(Kind.DRAW, path, kind, self._counts[path], self._iteration)
        self._counts[path] += 1
        self._writer.add(key, own)
        self._writer.add(replace(key, slot=f"{kind}{_TERMS}"), np.asarray(terms, np.float64))
        _describe(self._recorder, key, terms, own)

    def unknown(self, path: str, what: str) -> None:
        _tell_unknown(self._session, path, what)


@final
class _Replay(Source):
    """Puts the recorded numbers in; a draw without a counterpart keeps its own."""

    def __init__(
        self, session: Session, folder: Path, iteration: int, recorder: Recorder | None
    ) -> None:
        self._session = session
        self._folder = folder
        self._iteration = iteration
        self._recorder = recorder
        self._matched: Matched | None = None
        self._alone: list[str] = []
        self._counts: Counter[str] = Counter()

    def draw(self, path: str, kind: str, terms: tuple[float, ...], own: Array) -> Array | None:
        if self._matched is None:
            self._matched = self._read()
        found = self._matched.take(path, kind, terms, own.shape)
        call = self._counts[path]
        self._counts[path] += 1
        if found is None:
            self._alone.append(f"{path or '(root)'} {kind}")
            key = TensorKey(Kind.DRAW, path, f"{kind} of the candidate", call, self._iteration)
            _describe(self._recorder, key, terms, own)
            return None
        key = TensorKey(Kind.DRAW, found.path, found.kind, found.call, self._iteration)
        _describe(self._recorder, key, terms if kind == found.kind else found.terms, own)
        values = as_kind(found, kind, terms)
        if values is None or values.shape != own.shape:
            self._alone.append(f"{path or '(root)'} {kind}")
            return None
        return values

    def unknown(self, path: str, what: str) -> None:
        _tell_unknown(self._session, path, what)

    def tell(self) -> None:
        """Leave a note on the draws that kept numbers of their own."""
        if not self._alone:
            return
        role = self._session.request.role.value
        n, names = len(self._alone), ", ".join(self._alone[:5])
        when = f" in iteration {self._iteration}" if self._iteration else ""
        note = f"{n} random draws of the {role}{when} without a counterpart in the reference's"
        _tell(self._session, f"{note}, so they keep numbers of their own: {names}")

    def _read(self) -> Matched:
        session, is_candidate = self._session, self._session.request.role is Role.CANDIDATE
        draws = _draws(exchange.await_trace(self._folder))
        if not is_candidate or session.structure is None:
            return Matched(draws, None)
        known = exchange.await_trace(weights.folder(session.folder, Role.REFERENCE)).info
        if known is None or known.structure is None:
            return Matched(draws, None)
        return Matched(draws, partners(known.structure, session.structure, session.plan))


def _draws(trace: Trace) -> list[Draw]:
    terms = {
        replace(record.key, slot=record.key.slot.removesuffix(_TERMS)): record.array
        for record in trace.records
        if record.key.slot.endswith(_TERMS)
    }
    return [
        Draw(key.path, key.slot, key.call, tuple(map(float, terms[key])), record.array)
        for record in trace.records
        if (key := record.key) in terms
    ]


def _describe(
    recorder: Recorder | None, key: TensorKey, terms: tuple[float, ...], own: Array
) -> None:
    if recorder is not None:
        recorder.array(key, np.asarray([*terms, *own.shape], np.float64))


def _tell_unknown(session: Session, path: str, what: str) -> None:
    role = session.request.role.value
    _tell(
        session,
        f"random draws that are not replayed: the {role} draws by {what} in {path or '(root)'}",
    )


def _tell(session: Session, note: str) -> None:
    if note not in session.notes:
        session.notes.append(note)
