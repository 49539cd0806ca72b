"""Random points and labels that a line explains only in part."""

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


def short(settings: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """The same without the last batch."""
    *kept, _ = batches(settings)
    yield from kept
