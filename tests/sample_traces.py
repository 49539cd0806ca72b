"""Small traces that several tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portalign.records import (
    Array,
    Kind,
    ModuleInfo,
    ParameterInfo,
    Precision,
    Role,
    SideInfo,
    Structure,
    TensorKey,
)
from portalign.store import TraceWriter

BASE = np.arange(2 * 3 * 4, dtype="f4").reshape(2, 3, 4)
INFO = SideInfo(
    role=Role.CANDIDATE,
    framework="paddle",
    framework_version="3.3.1",
    python="3.11.2",
    device="cpu",
    mode="eval",
    seed=7,
    threads=1,
    source="side.py:build",
    source_sha256="ab" * 32,
    flags={"tf32": "off"},
    lifted=("epsilon rounded to float32",),
    structure=Structure(
        "paddle",
        (ModuleInfo("", "Net"), ModuleInfo("fc", "Linear")),
        (
            ParameterInfo("fc.weight", "fc", "weight", "Linear", (2, 3), "float32"),
            ParameterInfo(
                "bn._mean", "bn", "_mean", "BatchNorm", (), "float32", Kind.BUFFER, False, True, "x"
            ),
        ),
    ),
    notes=("naïve «note»",),
    seconds={"build": 0.25, "forward": 2.0},
    peak_memory_bytes=2**40,
)


def key(path: str, *, iteration: int = 0) -> TensorKey:
    return TensorKey(Kind.ACTIVATION, path, "out.0", 1, iteration, Precision.FLOAT64)


def write(folder: Path, arrays: dict[str, Array], *, shard_bytes: int = 2**25) -> None:
    writer = TraceWriter(folder, shard_bytes=shard_bytes)
    for path, array in arrays.items():
        writer.add(key(path), array)
    writer.finish(INFO)
