from __future__ import annotations

from causes.loss_kind import SMOOTH, fault, huber, made

FAULTS = (
    fault(
        "loss-bend",
        SMOOTH,
        made(*huber(1.0)),
        "bends at 1, the reference's at 0.1",
        reference_bend=0.1,
        candidate_bend=1.0,
    ),
    fault("loss-bend", made(*huber(0.7)), made(*huber(0.3)), "bends at 0.3", reference_bend=0.7),
)
