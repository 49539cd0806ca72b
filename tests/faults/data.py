"""Batches of the four architectures: small, fixed, and with everything in them that hides a fault
if left out.

Padding of several lengths, both token types, all class labels, ignored labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Batch = dict[str, npt.NDArray[np.generic]]
N_BATCHES = 3
PADDING = 0
_LENGTHS = np.array([10, 7, 5, 9])
# With more rows than the widest matrix has inputs, what was multiplied by can be solved for.
_MANY_LENGTHS = np.array([10, 7, 5, 9, 10, 6, 8, 10])


def bert(settings: Mapping[str, object]) -> Iterator[Batch]:
    """`input_ids`, `token_type_ids`, `attention_mask` [8, 10] and `labels` [8]."""
    random = np.random.default_rng(11)
    for _ in range(N_BATCHES):
        mask = _mask(_MANY_LENGTHS)
        yield {
            "input_ids": random.integers(0, 8, mask.shape)
            * mask,  # id 0, the padding's, is a word too
            "token_type_ids": (np.arange(10) >= _MANY_LENGTHS[:, None] // 2) * mask,
            "attention_mask": mask,
            "labels": random.integers(0, 3, len(mask)),
        }


def gpt(settings: Mapping[str, object]) -> Iterator[Batch]:
    """`input_ids` [6, 12] and `labels` [6, 12]: the same ids, the prompt's ignored (-100)."""
    random = np.random.default_rng(12)
    for _ in range(N_BATCHES):
        ids = random.integers(0, 48, (6, 12))
        labels = np.where(np.arange(12) < np.array([[2], [4], [1], [3], [1], [2]]), -100, ids)
        yield {"input_ids": ids, "labels": labels}


def cnn(settings: Mapping[str, object]) -> Iterator[Batch]:
    """`image` float32 [4, 3, 16, 16] and `labels` [4]."""
    random = np.random.default_rng(13)
    for _ in range(N_BATCHES):
        image = random.normal(0.3, 1.0, (4, 3, 16, 16)).astype(np.float32)
        yield {"image": image, "labels": random.integers(0, 5, 4)}


def rnn(settings: Mapping[str, object]) -> Iterator[Batch]:
    """`input_ids`, `attention_mask` [4, 10] and `labels` [4]."""
    random = np.random.default_rng(14)
    for _ in range(N_BATCHES):
        mask = _mask(_LENGTHS)
        yield {
            "input_ids": random.integers(1, 40, mask.shape) * mask,
            "attention_mask": mask,
            "labels": random.integers(0, 4, 4),
        }


def _mask(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return (np.arange(10) < lengths[:, None]).astype(np.int64)


def mlp(settings: Mapping[str, object]) -> Iterator[Batch]:
    """`x` float32 [8, 6] and `labels` [8]; six batches, for they may be accumulated."""
    random = np.random.default_rng(15)
    for _ in range(6):
        x = random.normal(0.3, 1.5, (8, 6)).astype(np.float32)
        yield {"x": x, "labels": random.integers(0, 4, 8)}


def mlp_swapped(settings: Mapping[str, object]) -> Iterator[Batch]:
    """The first batch of `mlp` second and the second first."""
    first, second, *others = mlp(settings)
    yield from (second, first, *others)
