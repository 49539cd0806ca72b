"""Dumps that reprod_log itself wrote, as porters exchange them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portalign.foreign import read_arrays

reprod_log = pytest.importorskip("reprod_log", reason="reprod_log is not installed")


def test_a_dump_of_reprod_log_is_read(tmp_path: Path) -> None:
    logger = reprod_log.ReprodLogger()
    logger.add("logits", np.arange(6, dtype="f4").reshape(2, 3))
    logger.add("loss_0", np.array(0.5))
    logger.add("labels", np.array([1, 2], dtype="i8"))
    logger.save(str(tmp_path / "forward_paddle.npy"))

    read = read_arrays(tmp_path / "forward_paddle.npy")

    assert {name: (a.dtype.name, a.tolist()) for name, a in read.items()} == {
        "logits": ("float32", [[0, 1, 2], [3, 4, 5]]),
        "loss_0": ("float64", 0.5),
        "labels": ("int64", [1, 2]),
    }
