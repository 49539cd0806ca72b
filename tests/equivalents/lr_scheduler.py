"""Learning rate rows: the curve that each side's optimizer would use, read before every update."""

from __future__ import annotations

from equivalents.measured import Measured, measured
from portalign.config.entries import Entry
from portalign.equivalents.rows import Row
from portalign.frameworks.paddlepaddle import training as paddle_training
from portalign.frameworks.pytorch import training as torch_training
from portalign.records import Precision, Role
from portalign.request import Spec
from portalign.stages.lr_scheduler import curve

BASE = 1e-3
N_ITERATIONS = 100


def measure(row: Row) -> Measured:
    """Both curves of a row's entry, on an optimizer whose base LR is `BASE`."""
    entry = Entry.model_validate(row.entry)
    curves = []
    for role, name, side in (
        (Role.REFERENCE, "torch", torch_training),
        (Role.CANDIDATE, "paddle", paddle_training),
    ):
        trainer = side.trainer(
            None,
            Spec("sgd", args={"lr": BASE}),
            entry.spec(role, name),
            settings={},
            precision=Precision.NATIVE,
        )
        curves.append(curve(trainer, N_ITERATIONS))
    return measured(*curves)
