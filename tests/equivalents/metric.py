"""Metric rows: the value after each of 40 batches, on scores with all that metrics disagree about.

Equal scores, a class that never occurs, a short last batch and, where the entry ignores a label,
labels to be ignored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from equivalents.measured import Measured, measured
from portalign.config.entries import Entry
from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area, Row
from portalign.frameworks.paddlepaddle import metrics as paddle_metrics
from portalign.frameworks.pytorch import metrics as torch_metrics
from portalign.records import Role

N_BATCHES = 40
SHAPES = {"miou": (4, 4), "perplexity": (6,), "exact_match": (6,), "bleu": (6,)}
Batches = list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]


def measure(row: Row) -> Measured:
    """How far both sides' running values of a row's entry lie apart."""
    entry = Entry.model_validate(row.entry)
    arguments = resolve(Area.METRIC, entry.spec(Role.REFERENCE, "torch"))
    batches = scored(row, arguments)
    values = []
    for role, name, side in (
        (Role.REFERENCE, "torch", torch_metrics),
        (Role.CANDIDATE, "paddle", paddle_metrics),
    ):
        metric = side.metric(entry.spec(role, name))
        values.append([metric(batches[: n + 1]) for n in range(N_BATCHES)])
    return measured(*values)


def scored(row: Row, arguments: dict[str, object]) -> Batches:
    """The batches a row is measured on; the same at every call."""
    name = str(row.entry["name"])
    n_classes = 2 if name == "auc" or arguments.get("average") == "binary" else 20
    sharpness = 40.0 if name == "perplexity" and arguments["as_is"] else 1.0
    random = np.random.default_rng(0)
    batches = []
    for index in range(N_BATCHES):
        inner = SHAPES.get(name, ())
        n_rows = (4 if inner else 16) if index < N_BATCHES - 1 else 3
        shape = (n_rows, *inner)
        n_known = n_classes if n_classes == 2 else n_classes - 1  # the last never occurs
        labels = random.integers(0, n_known, shape)
        scores = random.normal(size=(*shape, n_classes)) * 1.5
        scores += 3.0 * (np.arange(n_classes) == labels[..., None])
        if not (name == "auc" and arguments["as_is"]):  # its bins show on scores that differ
            scores = sharpness * np.round(2 * scores) / 2  # many equal ones
        if n_known < n_classes:
            scores[..., -1] = scores.min() - 1
        if arguments["ignore_index"] is not None:
            labels[random.random(shape) < 0.2] = arguments["ignore_index"]
        batches.append((np.moveaxis(scores, -1, int(str(arguments["axis"]))), labels))
    return batches
