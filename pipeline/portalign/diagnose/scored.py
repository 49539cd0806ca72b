"""See a loss that differs from both sides: its value and its gradient at the scores it is made of.

The value alone is one number, which too much explains; the gradient has one for every score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from portalign.diagnose.backwards import Gradients
from portalign.diagnose.evidence import Site, Source, View
from portalign.findings import Origin
from portalign.mapping.pair import Pair
from portalign.records import Array, Kind, TensorRecord
from portalign.store import read_trace


def loss_site(given: Gradients, inputs: Path | None, origin: Origin) -> Site | None:
    """The site of the loss of the first iteration.

    Both sides made one array of it: the loss first, then its gradient at the scores, flattened.
    Their inputs are the scores, then what the batch holds.

    Args:
        inputs: folder of the batches.

    Returns:
        None where the loss, its gradient or the batch wasn't recorded.
    """
    batch = _batch(inputs)
    losses = [p for p in given.pairing.pairs if _is_first(p, Kind.LOSS)]
    slopes = [p for p in given.pairing.pairs if _is_first(p, Kind.GRADIENT) and not _path(p)]
    found = [each for each in (given.among(p) for p in slopes) if each is not None]
    scores = {each.reference.key.slot: _scores(given, each.reference) for each in found}
    loss = given.among(losses[0]) if losses else None
    chosen = _chosen(found, scores, batch)
    if loss is None or chosen is None or not batch:
        return None
    sources = (scores[chosen.reference.key.slot], *batch)
    views = (
        View(_joined(value, slope), sources, sources, {}, "", "", precision=slope.dtype.name)
        for value, slope in (
            (loss.reference.array, chosen.reference.array),
            (loss.candidate_values(), chosen.candidate_values()),
        )
    )
    return Site(origin, *views)


def _chosen(
    found: Sequence[Pair], scores: dict[str, Source], batch: Sequence[Source]
) -> Pair | None:
    """The output that has a label for each of its rows, where there are several."""
    shapes = {each.array.shape for each in batch if each.array.dtype.kind in "iu"}
    labelled = [p for p in found if scores[p.reference.key.slot].array.shape[:-1] in shapes]
    return next(iter([*labelled, *found]), None)


def _scores(given: Gradients, gradient: TensorRecord) -> Source:
    key = replace(gradient.key, kind=Kind.ACTIVATION)
    record = next(record for record in given.reference.records if record.key == key)
    return Source(key.slot, "", key.slot, "", record.array)


def _is_first(pair: Pair, kind: Kind) -> bool:
    key = pair.reference.key
    is_output = kind is Kind.LOSS or key.slot.startswith("out.")
    return key.kind is kind and not key.iteration and is_output


def _path(pair: Pair) -> str:
    return pair.reference.key.path


def _joined(loss: Array, slope: Array) -> Array:
    return np.concatenate([np.ravel(loss).astype(slope.dtype), np.ravel(slope)])


def _batch(inputs: Path | None) -> tuple[Source, ...]:
    if inputs is None or not inputs.is_dir():
        return ()
    return tuple(
        Source(record.key.path, "", record.key.path, "", record.array)
        for record in read_trace(inputs).records
        if record.key.kind is Kind.INPUT and not record.key.iteration
    )
