"""What a loss divides its sum by: the number of elements, labels or weights that it counts.

Read off and not computed: a loss that is named in the port file is asked for its sum too, and sum
over value is what this framework divided by. A porter's own function has no sum to ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from portalign.frameworks.trainer import Tensor
from portalign.records import Kind, Precision, TensorKey
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session

# Takes what the loss was made from (the model's output, the batch), the loss, and which of the
# iteration's batches it is.
Divided = Callable[[object, Mapping[str, Tensor], Tensor, int], None]


def denominators(
    session: Session, recorder: Recorder, iteration: int, precision: Precision
) -> Divided | None:
    """Record the denominator of every batch's loss; None where the loss is a porter's function.

    Nothing is recorded of a loss that is 0 or not finite, nor of one in less than float32, whose
    sum says too little.
    """
    request = session.request
    if request.loss is None or request.loss.function:
        return None
    spec = replace(request.loss, args={**request.loss.args, "reduction": "sum"})
    summed = session.framework.loss(spec, request.settings, other_framework=request.other_framework)

    def divided(output: object, batch: Mapping[str, Tensor], loss: Tensor, call: int) -> None:
        value, total = (
            session.framework.numpy(each.detach()) for each in (loss, summed(output, batch))
        )
        if value.dtype.itemsize < np.dtype(np.float32).itemsize or not value.item():
            return
        found = total.item() / value.item()
        if math.isfinite(found):
            key = TensorKey(Kind.DENOMINATOR, "loss", "", call, iteration, precision)
            recorder.array(key, np.asarray(found))

    return divided


def unknown_denominator(session: Session) -> tuple[str, ...]:
    """A note where this side's loss can't be asked for its sum."""
    spec = session.request.loss
    if spec is None or not spec.function:
        return ()
    role = session.request.role.value
    return (
        f"the {role}'s loss is a function of its own: what it divides by isn't known and not "
        "compared",
    )
