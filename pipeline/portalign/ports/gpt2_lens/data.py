"""Batches of the GPT-2 port: token ids made from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from portalign.ports.gpt2_lens.shapes import shape_of

N_TOKENS = 24
SEED = 2


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, npt.NDArray[np.int64]]]:
    """Yield one batch: `input_ids`, int64 [2, 24].

    Args:
        settings: `size`.
    """
    generator = np.random.default_rng(SEED)
    yield {"input_ids": generator.integers(0, shape_of(settings)["vocab_size"], (2, N_TOKENS))}
