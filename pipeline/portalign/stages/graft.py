"""The grafted pass: the candidate once more, on the reference's tensors at every module.

What arrives at a module shows the error of the code in front of it, what it returns shows its own:
no difference reaches the next module. Runs in float64 where there is a twin, on the first batch,
after both captures are complete.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from portalign.frameworks.base import Model
from portalign.mapping.layouts import Layout
from portalign.mapping.pair import Pair, pair
from portalign.records import Array, Kind, Precision, Role, Step, TensorKey, Trace
from portalign.stages import exchange
from portalign.stages.batches import batches_of, model_arguments
from portalign.stages.draws import replayed
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session, at_precision, restore, tensors_of
from portalign.stages.training import (
    batches_of_iteration,
    forward_and_backward,
    record_gradients,
    training,
)
from portalign.store import TraceWriter, read_trace
from portalign.store.layout import GRAFT

_Place = tuple[Kind, str, str, int]
_Value = Callable[[], Array]
_Values = dict[_Place, _Value]


def run(session: Session, model: Model) -> None:
    """Run the pass and write its trace to ``<step>/graft/``; keys are the candidate's own."""
    reference = exchange.await_trace(session.folder / Role.REFERENCE.value)
    precision = session.precisions[-1]
    values = _replacements(session, reference, precision)
    writer = TraceWriter(session.folder / GRAFT)
    grafted = Session(
        session.request,
        session.framework,
        Recorder(session.framework, writer),
        session.flags,
        session.precisions,
        session.twin,
        structure=session.structure,
    )
    if session.request.step is Step.BACKWARD:
        restore(session, model)
    opened = at_precision(grafted, model, precision)
    with session.timed(GRAFT), replayed(session, model, 0), opened:
        _run_once(grafted, model, values, precision)
    writer.finish(session.info())


def _run_once(session: Session, model: Model, values: _Values, precision: Precision) -> None:
    framework, is_backward = session.framework, session.request.step is Step.BACKWARD
    batches = batches_of(exchange.await_trace(session.folder / exchange.INPUTS))
    sink = session.recorder.sink(iteration=0, precision=precision)

    def replacement(kind: Kind, path: str, slot: str, call: int) -> Array | None:
        value = values.get((kind, path, slot, call))
        return value() if value else None

    if not is_backward:
        arguments = tensors_of(session, model_arguments(batches[0], session.request), precision)
        with framework.graft(model, replacement, sink):
            framework.forward(model, arguments, grad=False)
        return
    trainer, loss_function = training(session, model, precision)
    trainer.reset()
    with framework.graft(model, replacement, sink, gradients=True):
        taken = batches_of_iteration(session.request, batches, 0)
        key = TensorKey(Kind.LOSS, "loss", precision=precision)
        forward_and_backward(session, model, taken, trainer, loss_function, key)
    record_gradients(session, trainer, 0, precision)


def _replacements(session: Session, reference: Trace, precision: Precision) -> _Values:
    """The reference's tensors under the candidate's names, as the candidate lays them out."""
    own = read_trace(session.request.side_folder())
    pairing = pair(reference, own, session.plan, outputs=session.request.outputs)
    packed: dict[tuple[TensorKey, ...], dict[int, Pair]] = defaultdict(dict)
    for each in pairing.pairs:
        key = each.candidate.key
        if key.kind not in (Kind.ACTIVATION, Kind.GRADIENT) or key.iteration:
            continue
        lifted = pairing.twin(each) if precision is Precision.FLOAT64 else each
        if lifted is not None:
            keys = tuple(record.key for record in (lifted.candidate, *lifted.others))
            packed[keys].setdefault(lifted.part, lifted)
    found: _Values = {}
    for parts in packed.values():
        found.update(_laid_out(parts))
    return found


def _laid_out(parts: Mapping[int, Pair]) -> Iterator[tuple[_Place, _Value]]:
    """The replacements of the candidate's tensors that hold these parts; none if one is missing.

    A tensor that has another shape than the candidate's own is not put in.
    """
    layout = parts[min(parts)].layout
    if len(parts) != layout.n_given:
        return
    first, arrays = parts[min(parts)], [parts[at].reference.array for at in sorted(parts)]
    theirs = [record.array for record in (first.candidate, *first.others)]
    given = [array.shape for array in layout.backward_all(theirs)]
    if [array.shape for array in arrays] != given:
        return
    for at, record in enumerate((first.candidate, *first.others)):
        key = record.key
        place = key.kind, key.path, key.slot, key.call
        yield place, partial(_moved, layout, arrays, at)


def _moved(layout: Layout, arrays: Sequence[Array], at: int) -> Array:
    return layout.forward_all(arrays)[at]  # made when it is wanted: packing copies
