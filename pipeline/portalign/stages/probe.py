"""The probe: both sides once more on a few rows that the first batch gives, where that batch itself
can't decide.

The reference makes the rows and runs first, before its own trace is finished; the candidate runs
by itself on the same rows after its grafted pass. In float64 where there is a whole twin, and in
evaluation only.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.base import Batch, Model
from portalign.records import Kind, Precision, Role, Step, TensorKey
from portalign.request import CaptureRequest
from portalign.stages import exchange
from portalign.stages.batches import batch_key, batches_of
from portalign.stages.calling import call_model
from portalign.stages.outputs import named_outputs
from portalign.stages.probe_batch import ProbeBatch, probe_batches
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session, at_precision
from portalign.stages.windows import FLAG
from portalign.store import TraceWriter, read_trace
from portalign.store.layout import MANIFEST, PROBE


def lead(session: Session, model: Model) -> None:
    """The reference's part: choose the rows, run on them, publish both.

    The rows go to ``probe/inputs`` as batch 0, which places of them are shown as batch 1, and in
    words to its notes; nothing is written where the given batch decides all.

    Raises:
        CaptureError: the model takes none of the lengths that were tried.
    """
    failed: list[tuple[ProbeBatch, PortalignError]] = []
    for probe in _probes(session):
        folder = session.folder / PROBE / session.request.role.value
        try:
            _run(session, model, probe.fields, folder)
        except PortalignError as err:
            failed.append((probe, err))
            shutil.rmtree(folder, ignore_errors=True)
            continue
        _publish(session, probe, [each.tried for each, _ in failed])
        return
    if failed:
        last, cause = failed[-1]
        found = f"{cause.found} with {last.tried}"
        raise CaptureError(found, why=cause.why, do=cause.do) from cause


def follow(session: Session, model: Model) -> None:
    """The candidate's part, if the reference ran. It may raise whatever the model raises."""
    place = session.folder / PROBE
    if all((place / name / MANIFEST).is_file() for name in (exchange.INPUTS, Role.REFERENCE.value)):
        batch = batches_of(read_trace(place / exchange.INPUTS))[0]
        _run(session, model, batch, place / session.request.role.value)


def is_wanted(request: CaptureRequest) -> bool:
    """Where a probe can tell something of the port: the forward step in evaluation, where the
    candidate has the reference's weights.
    """
    return (
        request.probe == "auto"
        and request.step is Step.FORWARD
        and request.mode == "eval"
        and bool(request.weights.get("carry", True))
    )


def _probes(session: Session) -> tuple[ProbeBatch, ...]:
    request = session.request
    batch = batches_of(read_trace(session.folder / exchange.INPUTS))[0]
    mapped = {field: argument for argument, field in request.inputs.items()}
    given = [name for name in batch if name in mapped or name not in request.labels]
    told = session.flags.get(FLAG, "")
    numbers = [int(each.rpartition("=")[2]) for each in told.split(", ") if each]
    return probe_batches(
        batch,
        {name: mapped.get(name, name) for name in given},
        windows=numbers,
        longest=_longest(session),
    )


def _longest(session: Session) -> int:
    """How many places a sequence may have without harm, as far as names of tables tell.

    A lookup beyond a table mostly raises on the CPU (indexing in paddle 3.3.1 reads on instead); on
    a device it may end the process, so nothing is made longer there.
    """
    state = session.structure.state if session.structure else ()
    tables = [
        entry.shape[-2]
        for entry in state
        if "pos" in entry.name.lower() and "float" in entry.dtype and len(entry.shape) > 1
    ]
    return min(tables, default=sys.maxsize) if session.request.device == "cpu" else 0


def _run(session: Session, model: Model, batch: Batch, folder: Path) -> None:
    # by segments every weight would be lifted once more, which costs more than the few rows
    is_whole = session.twin != "segments"
    precision = session.precisions[-1] if is_whole else Precision.NATIVE
    writer = TraceWriter(folder)
    recorder = Recorder(session.framework, writer)
    own = Session(
        session.request,
        session.framework,
        recorder,
        session.flags,
        session.precisions,
        session.twin,
        structure=session.structure,
    )
    sink = recorder.sink(iteration=0, precision=Precision.NATIVE)  # the one run there is
    with session.timed(PROBE), at_precision(own, model, precision):
        with session.framework.watch(model, sink):
            output = call_model(own, model, batch, precision)
        for name, tensor in named_outputs(output, session.framework, session.request.outputs):
            recorder.tensor(TensorKey(Kind.OUTPUT, name), tensor)
    writer.finish(own.info())


def _publish(session: Session, probe: ProbeBatch, refused: list[str]) -> None:
    items = [(batch_key(name, 0), array, "") for name, array in probe.fields.items()]
    items.append((batch_key("shown", 1), probe.shown, ""))
    info = replace(session.info(), notes=(probe.tried, *refused))
    exchange.publish(session.folder / PROBE / exchange.INPUTS, items, info)
