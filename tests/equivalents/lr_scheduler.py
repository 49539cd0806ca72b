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
    """How far both curves of a row lie apart."""
    return measured(*curves(row))


def curves(row: Row) -> list[list[float]]:
    """The curves of a row's entry, reference and candidate, on an optimizer of base LR `BASE`."""
    entry = Entry.model_validate(row.entry)
    found = []
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
        found.append(curve(trainer, N_ITERATIONS))
    return found
