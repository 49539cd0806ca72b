"""Batches of the SmolLM2 port: one prompt of token ids made from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from portalign.ports.smollm2_bf16.shapes import shape_of

SEED = 135


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, npt.NDArray[np.int64]]]:
    """Yield one batch: `input_ids`, int64 [1, tokens].

    Args:
        settings: `size`, and `tokens`, the length of the prompt.
    """
    n_tokens = int(str(settings.get("tokens", 3)))
    generator = np.random.default_rng(SEED)
    yield {"input_ids": generator.integers(0, shape_of(settings)["vocab_size"], (1, n_tokens))}
