"""Batches of the CTRL port: token ids made from a seed, with or without padding.

What a token means doesn't matter here; that the positions run far enough to tell two position
tables apart does. The published runs are reproduced by 98 positions: there, two float32 ways to
compute the sinusoids differ by 1.58e-7 on average, as published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from portalign.ports.ctrl.shapes import shape_of

N_POSITIONS = {"small": 24, "published": 98}
N_PADDED = 5  # of the second row
SEED = 48
PADDINGS = ("none", "right", "left")


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, npt.NDArray[np.int64]]]:
    """Yield one batch of two rows.

    Args:
        settings: `size`, `vocab`, and `padding`: "none" gives no mask at all, "right" and "left"
            pad the second row with 5 tokens.

    Returns:
        `input_ids` and `labels`, int64 [2, time]; with padding also `attention_mask`.

    Raises:
        ValueError: there is no such padding.
    """
    padding = str(settings.get("padding", "none"))
    if padding not in PADDINGS:
        raise ValueError(f"padding is {padding!r}; this port has {', '.join(PADDINGS)}")
    size, shape = str(settings.get("size", "small")), shape_of(settings)
    generator = np.random.default_rng(SEED)
    ids = generator.integers(0, shape.vocab_size, (2, N_POSITIONS[size]))  # [batch, time]
    if padding == "none":
        yield {"input_ids": ids, "labels": ids.copy()}
        return
    mask = np.ones_like(ids)
    mask[1, slice(-N_PADDED, None) if padding == "right" else slice(N_PADDED)] = 0
    yield {"input_ids": ids * mask, "attention_mask": mask, "labels": ids * mask}
