"""Which values of a step go into the community's dumps and log, and under which names.

The names are those porters and their parsers know: ``logits``, ``step_100_lr``, ``loss_0``,
``lr_0``, ``length``, ``dataloader_0_labels``, ``accuracy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from portalign.mapping.pair import Pair
from portalign.records import Array, Kind, Step

DUMPS = {
    Step.FORWARD: ("forward", "forward_diff.log"),
    Step.METRIC: ("metric", "metric_diff.log"),
    Step.LR_SCHEDULER: ("scheduler", "scheduler_diff.log"),
    Step.BACKWARD: ("bp_align", "bp_align_diff.log"),
}
DATA_DUMP = ("data", "data_diff.log")


@dataclass(frozen=True, slots=True)
class Dump:
    """One pair of ``.npy`` files and their log.

    Attributes:
        prefix: "forward" for ``forward_torch.npy``.
        log: "forward_diff.log".
        values: log key -> (reference, candidate), in log order.
    """

    prefix: str
    log: str
    values: dict[str, tuple[Array, Array]]


def dumps(step: Step, pairs: Sequence[Pair], probe: Sequence[int] = ()) -> tuple[Dump, ...]:
    """The dumps of a step, the one with the step's own log first.

    Args:
        step: which step.
        pairs: its pairs.
        probe: iterations whose learning rate goes to the log; the ends and quarters if empty.
    """
    prefix, log = DUMPS[step]
    if step is Step.LR_SCHEDULER:
        return (Dump(prefix, log, _curve_points(pairs, probe)),)
    own = {_name(p): _values(p) for p in pairs if p.reference.key.kind in _KINDS[step]}
    if step is not Step.METRIC:
        return (Dump(prefix, log, own),)
    data = {_name(p): _values(p) for p in pairs if p.reference.key.kind is Kind.INPUT}
    return Dump(prefix, log, own), Dump(*DATA_DUMP, data)


_KINDS = {
    Step.FORWARD: {Kind.OUTPUT},
    Step.METRIC: {Kind.METRIC},
    Step.BACKWARD: {Kind.LOSS, Kind.LR},
}


def _name(pair: Pair) -> str:
    key = pair.reference.key
    if key.kind is Kind.INPUT:
        is_length = key.path == "length"
        return "length" if is_length else f"dataloader_{key.iteration}_{key.path}"
    if key.kind is Kind.METRIC:
        return key.path if key.slot == "own" else f"{key.path}_{key.slot}"
    if key.kind in (Kind.LOSS, Kind.LR):
        return f"{key.path}_{key.iteration}"
    return key.path


def _values(pair: Pair) -> tuple[Array, Array]:
    return pair.reference.array, pair.candidate.array


def _curve_points(pairs: Sequence[Pair], probe: Sequence[int]) -> dict[str, tuple[Array, Array]]:
    curves = [p for p in pairs if p.reference.key.kind is Kind.LR]
    points: dict[str, tuple[Array, Array]] = {}
    for pair in curves:
        last = min(pair.reference.array.size, pair.candidate.array.size) - 1
        chosen = probe or sorted({0, last // 4, last // 2, 3 * last // 4, last})
        for point in chosen:
            points[f"step_{point}_lr"] = (
                np.asarray(pair.reference.array[point : point + 1]),
                np.asarray(pair.candidate.array[point : point + 1]),
            )
    return points
