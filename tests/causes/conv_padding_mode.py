from __future__ import annotations

from causes.places import Seeded, module
from causes.weight_flipped import CLEAN, IMAGE, KERNEL, RIGHT, conv

GIVEN = {"inputs": {"in.0": IMAGE}, "state": {"weight": KERNEL}}
FAULTS = (
    Seeded(
        "conv-padding-mode",
        module(RIGHT, conv(IMAGE, KERNEL, mode="reflect"), **GIVEN),  # type: ignore[arg-type]
        CLEAN,
        says="pads with the image reflected (padding_mode='reflect'), the reference with zeros",
    ),
    Seeded(
        "conv-padding-mode",
        module(conv(IMAGE, KERNEL, mode="wrap"), RIGHT, **GIVEN),  # type: ignore[arg-type]
        CLEAN,
        says="pads with zeros (padding_mode='zeros'), the reference with the other end",
    ),
)
