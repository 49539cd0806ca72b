"""Step 1 on one side: one batch forward, watched, in native precision and again in float64."""

from __future__ import annotations

from portalign.records import Kind, TensorKey
from portalign.stages.batches import model_arguments
from portalign.stages.outputs import named_outputs
from portalign.stages.session import Session, at_precision, open_model, shared_batches


def run(session: Session) -> None:
    """Record every module's inputs and outputs, and the model's outputs, on the first batch."""
    request, framework, recorder = session.request, session.framework, session.recorder
    batch = shared_batches(session, 1)[0]
    model = open_model(session)
    for precision in session.precisions:
        with session.timed(f"forward {precision.value}"), at_precision(session, model, precision):
            arguments = {
                name: framework.tensor(array, precision=precision)
                for name, array in model_arguments(batch, request).items()
            }
            with framework.watch(model, recorder.sink(iteration=0, precision=precision)):
                output = framework.forward(model, arguments, grad=False)
            for name, tensor in named_outputs(output, framework, request.outputs):
                recorder.tensor(TensorKey(Kind.OUTPUT, name, precision=precision), tensor)
