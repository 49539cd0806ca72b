"""Real reprod_log over prepared pairs of arrays; prints what it did as one line of JSON.

Run by `test_reprod_traps` in a process of its own: importing reprod_log imports paddle.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

LOADED_BEFORE = "paddle" in sys.modules

import reprod_log  # noqa: E402  (what this import brings along is one of the findings)

FOLDER = Path(sys.argv[1])
ROOT = logging.getLogger("root")


def report(reference: dict[str, Any], candidate: dict[str, Any], log: str) -> dict[str, Any]:
    """What reprod_log returns and logs for two dicts, or the error it raises."""
    helper = reprod_log.ReprodDiffHelper()
    try:
        helper.compare_info(reference, candidate)
        returned = helper.report(path=str(FOLDER / log))
    except Exception as err:  # whatever it raises is the finding
        return {"error": type(err).__name__}
    return {"returned": returned, "log": (FOLDER / log).read_text(encoding="utf-8")}


def pairs() -> dict[str, Any]:
    """Every prepared pair, each with fresh log handlers."""
    found = {}
    arrays = np.load(FOLDER / "pairs.npz")
    for name in json.loads((FOLDER / "names.json").read_text(encoding="utf-8")):
        ROOT.handlers.clear()
        found[name] = report({"x": arrays[f"{name}.0"]}, {"x": arrays[f"{name}.1"]}, "one.log")
    ROOT.handlers.clear()
    found["no keys"] = report({}, {}, "one.log")
    return found


def handlers() -> dict[str, str]:
    """Two reports in one process."""
    ROOT.handlers.clear()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for key in ("x", "y"):
            report({key: np.zeros(1)}, {key: np.zeros(1)}, f"{key}.log")
    return {
        "first log": (FOLDER / "x.log").read_text(encoding="utf-8"),
        "printed": printed.getvalue(),
    }


def kept() -> list[float]:
    """The values of one array that is dumped per iteration and changed in place."""
    logger, loss = reprod_log.ReprodLogger(), np.zeros(1)
    for iteration in range(3):
        loss += 1
        logger.add(f"loss_{iteration}", loss)
    logger.save(str(FOLDER / "kept.npy"))
    read = reprod_log.ReprodDiffHelper().load_info(str(FOLDER / "kept.npy"))
    return [float(value[0]) for value in read.values()]


def bfloat16() -> dict[str, Any]:
    """What 1.0 and 2.0 in bfloat16 look like when they come from paddle."""
    import paddle

    one, two = (paddle.to_tensor([v]).astype("bfloat16").numpy() for v in (1.0, 2.0))
    ROOT.handlers.clear()
    judged = report({"x": one}, {"x": two}, "one.log")
    return {"dtype": str(one.dtype), "bits": int(one[0]), "log": judged["log"]}


with contextlib.redirect_stdout(io.StringIO()):
    seen = {
        "imports paddle": not LOADED_BEFORE and "paddle" in sys.modules,
        **pairs(),
        "handlers": handlers(),
        "kept": kept(),
        "bfloat16": bfloat16(),
    }
    reprod_log.ReprodDiffHelper().load_info(str(FOLDER / "hostile.npy"))
print(json.dumps(seen))
