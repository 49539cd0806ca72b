"""Points with labels that a line explains in part, or wholly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(0)
    for _ in range(4):
        x = random.normal(size=(16, 8)).astype(np.float32)
        labels = (x[:, 0] + random.normal(size=16) > 0).astype(np.int64)
        yield {"x": x, "labels": labels}


def easy(settings: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """One batch of points far from the border: whatever looks at the sign is right."""
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 8)
    x = random.normal(0, 0.1, size=(16, 8)).astype(np.float32)
    x[:, 0] = np.where(labels, 2.0, -2.0)
    yield {"x": x, "labels": labels}


def percent(scored: list[tuple[Any, Any]]) -> float:
    """Accuracy as image tutorials print it."""
    hits = np.concatenate([scores.argmax(axis=1) == labels for scores, labels in scored])
    return 100.0 * float(hits.mean())
