"""One row of the table of equivalents, and what it claims about the two frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Area(str, Enum):
    """Which part of the port file a row is about."""

    LR_SCHEDULER = "lr_scheduler"
    OPTIMIZER = "optimizer"
    LOSS = "loss"
    METRIC = "metric"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a port file, and how both frameworks take it.

    Attributes:
        title: how the docs call it ("cosine, with warm restarts"); unique within its area.
        entry: the entry as it stands in ``port.yaml``, such as
            ``{"name": "cosine_warm_restarts", "t_0": 10}``.
        torch: what is built of it in PyTorch, as code.
        paddle: what is built of it in Paddle, as code.
        caution: which arguments or defaults mean different things, and what portalign does about
            it; "" if none do.
        agrees_to: greatest relative difference in float64 that the tests allow; 0.0 for bitwise.
            NaN for a row that is known to differ.
        differs_by: relative difference that can't be removed, as measured, to one digit; the tests
            hold the measurement within a factor of 3 of it. NaN for a row that agrees.
        why: what makes it differ; "" if it agrees.
        accumulate: batches of one update; above 1 it stands beside the entry in ``port.yaml``.
    """

    area: Area
    title: str
    entry: dict[str, object]
    torch: str
    paddle: str
    caution: str = ""
    agrees_to: float = float("nan")
    differs_by: float = float("nan")
    why: str = ""
    accumulate: int = 1
