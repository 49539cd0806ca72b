"""Step 3 on one side: the whole learning rate curve, read before every update; no model needed."""

from __future__ import annotations

import numpy as np

from portalign.errors import CaptureError
from portalign.frameworks.trainer import Trainer
from portalign.records import Kind, Precision, TensorKey
from portalign.request import CaptureRequest, Spec
from portalign.stages.calling import blame
from portalign.stages.session import Session

CURVE_KEY = TensorKey(Kind.LR, "lr")


def run(session: Session) -> None:
    """Record the curve as one float64 array [total + 1]: the LR of iterations 0 to total."""
    request = session.request
    optimizer, scheduler = request.optimizer, request.lr_scheduler
    if optimizer is None or scheduler is None:
        raise CaptureError(
            "the port file has no `optimizer:` or no `lr_scheduler:`",
            why="a learning rate curve needs both",
            do="add them, or leave this step out",
        )
    with session.timed("curve"):
        trainer = session.framework.trainer(
            None,
            optimizer,
            scheduler,
            settings=request.settings,
            precision=Precision.NATIVE,
            other_framework=request.other_framework,
        )
        with blame("the LR scheduler", request):
            rates = curve(trainer, curve_length(request, scheduler))
    session.recorder.array(CURVE_KEY, np.asarray(rates, dtype=np.float64))


def curve(trainer: Trainer, n_points: int) -> list[float]:
    """The LR of iterations 0 to `n_points` - 1, each read before its update."""
    rates = []
    for point in range(n_points):
        if point:  # not after the last: some schedules end there
            trainer.update()
            trainer.schedule()
        rates.append(trainer.learning_rate())
    return rates


def curve_length(request: CaptureRequest, scheduler: Spec) -> int:
    """Points of the curve: up to `total` and the last probe point, both included.

    `total` (or the number of `metrics`) counts the scheduler's steps, which may be epochs.
    """
    steps = scheduler.args.get("total") or len(scheduler.args.get("metrics", ()))
    total = int(steps) * int(scheduler.args.get("iterations_per_epoch") or 1)
    probe = max((int(point) for point in scheduler.args.get("probe", [])), default=0)
    return max(total, probe, request.iterations) + 1
