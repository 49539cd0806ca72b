from __future__ import annotations

from causes.loss_reduction import LABELS, fault, made

ALL, SOME = (LABELS >= 0) * 1.0, (LABELS != 0) * 1.0
RIGHT, WRONG = made(ALL / 15, LABELS), made(SOME / SOME.sum(), LABELS)
FAULTS = (
    fault("loss-ignored", RIGHT, WRONG, LABELS, "leaves out the labels 0, the reference no class"),
    fault("loss-ignored", WRONG, RIGHT, LABELS, "leaves out no class, the reference the labels 0"),
)
