"""Batches of the Gemma-2 port: token ids made from a seed, three times as long as the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from portalign.ports.gemma2.shapes import SHAPE

N_ROWS, N_POSITIONS = 2, 3 * SHAPE.window
SEED = 2


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, npt.NDArray[np.int64]]]:
    """Yield one batch: `input_ids`, int64 [2, 24]. No setting is read."""
    generator = np.random.default_rng(SEED)
    yield {"input_ids": generator.integers(1, SHAPE.vocab_size, (N_ROWS, N_POSITIONS))}
