"""Step 1 on one side: one batch forward, watched, in native precision and again in float64."""

from __future__ import annotations

from portalign.frameworks.base import Model
from portalign.records import Kind, Precision, TensorKey
from portalign.stages.calling import call_model
from portalign.stages.draws import replayed
from portalign.stages.outputs import named_outputs
from portalign.stages.session import Session, at_precision, open_model, shared_batches


def run(session: Session) -> Model:
    """Record every module's inputs and outputs, and the model's outputs, on the first batch."""
    request, framework, recorder = session.request, session.framework, session.recorder
    batch = shared_batches(session, 1)[0]
    model = open_model(session)
    for precision in session.precisions:
        with session.timed(f"forward {precision.value}"), at_precision(session, model, precision):
            noted = recorder if precision is Precision.NATIVE else None
            with (
                replayed(session, model, 0, recorder=noted),
                framework.watch(model, recorder.sink(iteration=0, precision=precision)),
            ):
                output = call_model(session, model, batch, precision)
            for name, tensor in named_outputs(output, framework, request.outputs):
                recorder.tensor(TensorKey(Kind.OUTPUT, name, precision=precision), tensor)
    return model
