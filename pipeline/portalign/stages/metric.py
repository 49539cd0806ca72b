"""Step 2 on one side: its own data pipeline, its predictions, and its metrics on several sets.

Each metric is computed on this side's own predictions ("own"), on the reference's ("shared"), and
on crafted ones that separate implementations. The first predictions have float64 twins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from portalign.equivalents.arguments import resolve
from portalign.equivalents.crafted import Scored, crafted_cases
from portalign.equivalents.rows import Area
from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.base import Batch, Model
from portalign.functions import describe
from portalign.records import Array, Kind, Precision, Role, TensorKey
from portalign.request import CaptureRequest, Spec
from portalign.stages import exchange
from portalign.stages.batches import batch_key, own_batches
from portalign.stages.calling import call_model
from portalign.stages.outputs import named_outputs, scores_of
from portalign.stages.recording import recorded_batches
from portalign.stages.session import Session, at_precision, open_model, restore

# Twins of so many batches tell what rounding does to this model's predictions; the others are held
# to that. Two, so that a lucky one doesn't decide.
N_TWINS = 2
LENGTH_KEY = TensorKey(Kind.INPUT, "length")


def run(session: Session) -> None:
    """Record every field of every batch, the predictions on them, and each metric."""
    request = session.request
    if not request.metrics:
        raise CaptureError(
            "the port file has no `metrics:`",
            why="this step compares metrics",
            do="add `metrics: [accuracy]`, or leave this step out",
        )
    model = open_model(session)
    with session.timed("predict"):
        own, first = _predict(session, model)
    if Precision.FLOAT64 in session.precisions:
        with session.timed("predict float64"):
            _predict_lifted(session, model, first)
    shared = _share(session, own)
    with session.timed("metrics"):
        for spec in request.metrics:
            crafted = _crafted(spec, own[0][0].shape)
            _score(session, spec, {"own": own, "shared": shared, **crafted})


def _crafted(spec: Spec, shape: tuple[int, ...]) -> Mapping[str, Scored]:
    """The cases for one metric; of a porter's own function only those of plain rows of scores."""
    if spec.function:
        return crafted_cases(shape) if len(shape) == 2 else {}
    arguments = resolve(Area.METRIC, spec)
    axis, ignore_index = arguments["axis"], arguments["ignore_index"]
    return crafted_cases(shape, axis=axis, ignore_index=ignore_index)


def _predict(session: Session, model: Model) -> tuple[Scored, list[Batch]]:
    """Scores and labels of every batch, and the first batches themselves."""
    request, framework, recorder = session.request, session.framework, session.recorder
    label_field = request.labels[0] if request.labels else ""
    scored: Scored = []
    first: list[Batch] = []
    for index, batch in enumerate(_batches(request)):
        if index < N_TWINS:
            first.append(batch)
        for name, array in batch.items():
            recorder.array(batch_key(name, index), array)
        output = call_model(session, model, batch, Precision.NATIVE)
        outputs = named_outputs(output, framework, request.outputs)
        name, tensor = scores_of(outputs)
        recorder.tensor(TensorKey(Kind.PREDICTION, name, iteration=index), tensor)
        if label_field not in batch:
            raise CaptureError(
                f"batch {index} has no field {label_field!r}; it has {', '.join(batch)}",
                why="a metric compares scores with labels",
                do="name the label field in the port file: `labels: [FIELD]`",
            )
        scored.append((np.array(framework.numpy(tensor)), np.array(batch[label_field])))
    recorder.array(LENGTH_KEY, np.asarray(len(scored), dtype=np.int64))
    return scored, first


def _predict_lifted(session: Session, model: Model, batches: Sequence[Batch]) -> None:
    """Record the float64 twins of the first predictions. The model stays lifted."""
    request, framework, precision = session.request, session.framework, Precision.FLOAT64
    restore(session, model)
    with at_precision(session, model, precision):
        for index, batch in enumerate(batches):
            output = call_model(session, model, batch, precision)
            name, tensor = scores_of(named_outputs(output, framework, request.outputs))
            key = TensorKey(Kind.PREDICTION, name, iteration=index, precision=precision)
            session.recorder.tensor(key, tensor)


def _batches(request: CaptureRequest) -> Iterable[Batch]:
    """This side's own, or the recorded ones where it has no data function."""
    return own_batches(request) if request.batches else recorded_batches(request)


def _share(session: Session, own: Scored) -> Scored:
    """The reference's predictions and labels, published by it and awaited by the candidate."""
    folder = session.folder / exchange.PREDICTIONS
    if session.request.role is Role.REFERENCE:
        exchange.publish(folder, _items(own), session.info())
        return own
    records = exchange.await_trace(folder).by_key()
    return [
        (
            records[key].array,
            records[TensorKey(Kind.INPUT, "labels", iteration=key.iteration)].array,
        )
        for key in records
        if key.kind is Kind.PREDICTION
    ]


def _items(scored: Scored) -> Iterator[tuple[TensorKey, Array, str]]:
    for index, (scores, labels) in enumerate(scored):
        yield TensorKey(Kind.PREDICTION, "scores", iteration=index), scores, ""
        yield TensorKey(Kind.INPUT, "labels", iteration=index), labels, ""


def _score(session: Session, spec: Spec, cases: dict[str, Scored]) -> None:
    function, name = session.framework.metric(spec), spec.label
    for case, scored in cases.items():
        key = TensorKey(Kind.METRIC, name, case)
        try:
            value = np.asarray(function(scored), dtype=np.float64)
        except PortalignError as err:
            session.recorder.writer.skip(key, f"{err.found}; {err.do}")
            continue
        except Exception as err:
            raise CaptureError(
                f"metric {name} raised {describe(err)} on the predictions {case!r}",
                why=f"the {session.request.role.value}'s metric has no value to compare",
                do="mend the metric; the full traceback is in this side's log",
            ) from err
        session.recorder.array(key, value)
