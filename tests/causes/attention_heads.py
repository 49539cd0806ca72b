from __future__ import annotations

from causes.attention_scale import Core, fault

FAULTS = (
    fault(
        "attention-heads",
        Core(heads=8, groups=(0, 0, 1, 1, 2, 2, 3, 3)),
        fitted={"reference heads": 4.0, "candidate heads": 8.0},
    ),
)
