from __future__ import annotations

from causes.loss_kind import HITS, binary, fault, made

FAULTS = (
    fault(
        "loss-positive",
        made(*binary(3.0)),
        made(*binary()),
        "count 1 times in the loss, in the reference 3 times",
        target=HITS,
        reference_weight=3.0,
    ),
    fault(
        "loss-positive", made(*binary()), made(*binary(0.2)), "count 0.2 = 1/5 times", target=HITS
    ),
)
