"""Handwritten digits as images: scikit-learn's 1797 real 8x8 scans, enlarged to 3 x 32 x 32.

The first 1500 digits are for training, the last 297 are the test part that batches are made of.
Nothing is drawn at random, so both sides get the same bytes at every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

N_TRAINING = 1500
_ENLARGEMENT = 4  # 8x8 -> 32x32
_N_CHANNELS = 3


def batches(settings: Mapping[str, object]) -> Iterator[dict[str, Images | Labels]]:
    """Yield the test part in order.

    Args:
        settings: `batch_size`, 32 if absent: nine batches of 32 and a last one of 9.

    Yields:
        ``images`` float32 ``[batch, 3, 32, 32]`` and ``labels`` int64 ``[batch]``.
    """
    size = int(str(settings.get("batch_size", 32)))
    images, labels = test_part()
    for start in range(0, len(labels), size):
        chosen = slice(start, start + size)
        yield {"images": images[chosen], "labels": labels[chosen]}


def training_part() -> tuple[Images, Labels]:
    """The first 1500 digits: images ``[1500, 3, 32, 32]`` and labels ``[1500]``."""
    images, labels = _digits()
    return images[:N_TRAINING], labels[:N_TRAINING]


def test_part() -> tuple[Images, Labels]:
    """The last 297 digits: images ``[297, 3, 32, 32]`` and labels ``[297]``."""
    images, labels = _digits()
    return images[N_TRAINING:], labels[N_TRAINING:]


def _digits() -> tuple[Images, Labels]:
    """All digits, normalised by mean and deviation of the training part's pixels."""
    # Lazily: importing a port must not need scikit-learn.
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = digits.images.astype(np.float64)  # [1797, 8, 8], values 0 to 16
    known = pixels[:N_TRAINING]
    normal = ((pixels - known.mean()) / known.std()).astype(np.float32)
    large = normal.repeat(_ENLARGEMENT, axis=1).repeat(_ENLARGEMENT, axis=2)  # [1797, 32, 32]
    images = np.ascontiguousarray(large[:, None].repeat(_N_CHANNELS, axis=1))  # [1797, 3, 32, 32]
    return images, digits.target.astype(np.int64)
