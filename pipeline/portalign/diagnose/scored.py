"""See a loss that differs from both sides: its value and its gradient at the scores it is made of.

The value alone is one number, which too much explains; the gradient has one for every score. Of
batches whose gradients are accumulated, all stand one behind the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from portalign.diagnose.backwards import Gradients
from portalign.diagnose.evidence import Numbers, Site, Source, View
from portalign.diagnose.family import Run
from portalign.findings import Origin
from portalign.mapping.pair import Pair
from portalign.records import Array, Kind, TensorKey, TensorRecord
from portalign.request import Json
from portalign.store import read_trace

BATCHES = "batches"  # the setting that says how many batches one iteration accumulates


def loss_site(given: Gradients, inputs: Path | None, origin: Origin) -> Site | None:
    """The site of the loss of the first iteration.

    Both sides made one array of it: the loss first, then its gradient at the scores, flattened.
    Their inputs are the scores, then what the batch holds.

    Args:
        inputs: folder of the batches.

    Returns:
        None where the loss, its gradient or the batch wasn't recorded.
    """
    losses = [p for p in given.pairing.pairs if _is_first(p, Kind.LOSS)]
    slopes = [p for p in given.pairing.pairs if _is_first(p, Kind.GRADIENT) and not _path(p)]
    found = [each for each in (given.among(p) for p in slopes) if each is not None]
    scores = {each.reference.key: _scores(given, each.reference) for each in found}
    chosen = _chosen(found, scores, _batch(inputs, 1))
    batch = _batch(inputs, len(chosen))
    loss = given.among(losses[0]) if losses else None
    if loss is None or not chosen or not batch:
        return None
    parts = [scores[each.reference.key] for each in chosen]
    sources = (replace(parts[0], array=_behind([part.array for part in parts])), *batch)
    settings: dict[str, Json] = {BATCHES: len(chosen)}
    views = (
        View(_joined(value, slope), sources, sources, {}, "", "", settings, slope.dtype.name)
        for value, slope in (
            (loss.reference.array, _behind([each.reference.array for each in chosen])),
            (loss.candidate_values(), _behind([each.candidate_values() for each in chosen])),
        )
    )
    return Site(origin, *views)


def label_weights(kept: Numbers, n_batches: int, run: Run) -> Numbers:
    """What the loss of every label counts: the mean over the kept ones of each batch, unless a knob
    on the stages "reduction" and "batches" has it otherwise.

    Args:
        kept: of all batches, one behind the other; 0 where a label doesn't count.
    """
    parts = []
    for part in np.split(kept, n_batches):
        weights = run("reduction", part)
        parts.append((part / part.sum() if weights is part else weights) / n_batches)
    return run("batches", np.concatenate(parts))


def _chosen(
    found: Sequence[Pair], scores: Mapping[TensorKey, Source], batch: Sequence[Source]
) -> list[Pair]:
    """The output that has a label for each of its rows, where there are several: of each batch, in
    order; nothing where batches are of several shapes.
    """
    shapes = {each.array.shape for each in batch if each.array.dtype.kind in "iu"}
    labelled = [p for p in found if scores[p.reference.key].array.shape[:-1] in shapes]
    first = next(iter([*labelled, *found]), None)
    if first is None:
        return []
    same = [p for p in found if p.reference.key.slot == first.reference.key.slot]
    same.sort(key=lambda p: p.reference.key.call)
    return same if len({p.reference.array.shape for p in same}) == 1 else []


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


def _behind(arrays: Sequence[Array]) -> Array:
    """Arrays of one shape one behind the other; one alone stays, whatever its shape."""
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def _batch(inputs: Path | None, n_batches: int) -> tuple[Source, ...]:
    """The fields of the first batches, one behind the other; those of other shapes are left out."""
    if inputs is None or not inputs.is_dir():
        return ()
    fields: dict[str, list[Array]] = defaultdict(list)
    for record in read_trace(inputs).records:
        if record.key.kind is Kind.INPUT and record.key.iteration < n_batches:
            fields[record.key.path].append(record.array)
    return tuple(
        Source(name, "", name, "", _behind(arrays))
        for name, arrays in fields.items()
        if len({array.shape for array in arrays}) == 1 and len(arrays) == n_batches
    )
