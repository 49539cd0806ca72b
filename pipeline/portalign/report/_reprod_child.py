"""Runs reprod_log itself in a process of its own, for importing it would import paddle.

Run as a file by any interpreter (it needs numpy and reprod_log, and of portalign nothing): one
argument, the folder with ``order.json`` and ``arrays.npz`` that `reprod` left. One report per
process: reprod_log's log handlers pile up otherwise. What is used of reprod_log works on numpy
arrays; of paddle it wants two names for annotations, so it gets those and the step is two seconds
shorter, and runs where paddle isn't installed.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

CAN_NOT_IMPORT = 3  # exit status: reprod_log is not to be had in this interpreter
Tree = dict[str, Any]


def main(folder: Path) -> int:
    """Write both dumps and the log that ``order.json`` asks for; 0, or `CAN_NOT_IMPORT`."""
    import numpy as np

    of_paddle = SimpleNamespace(Tensor=object, nn=SimpleNamespace(Layer=object))
    sys.modules["paddle"] = cast(ModuleType, of_paddle)
    try:
        import reprod_log
    except Exception as err:  # missing, or another release that wants more of paddle
        print(f"{type(err).__name__}: {err}", file=sys.stderr)
        return CAN_NOT_IMPORT
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    entries = order["entries"]
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        for side in ("reference", "candidate"):
            logger = reprod_log.ReprodLogger()
            for entry in entries:
                if entry[side] is not None:
                    place(logger.data, entry["path"], arrays[entry[side]])
            logger.save(str(folder / order["dumps"][side]))
    helper = reprod_log.ReprodDiffHelper()
    loaded = [helper.load_info(str(folder / order["dumps"][s])) for s in ("reference", "candidate")]
    judged = [entry["path"] for entry in entries if entry["mean"] is None]
    helper.compare_info(*(_only(tree, judged) for tree in loaded))
    helper.diff_dict = merge(helper.diff_dict, entries)
    helper.report(
        diff_method="mean", diff_threshold=order["threshold"], path=str(folder / order["log"])
    )
    for line in order["closing"]:
        logging.getLogger("root").info(line)
    return 0


def place(tree: Tree, path: list[str], value: object) -> None:
    """Put a value into nested dicts, making those that lack. `tree` is changed in place."""
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def merge(differences: Tree, entries: list[Tree]) -> Tree:
    """Return every entry's difference, in order: reprod_log's, or the mean the entry brings."""
    merged: Tree = {}
    for entry in entries:
        mean = entry["mean"]
        own = {"mean": mean, "max": mean, "min": mean}
        place(merged, entry["path"], _pick(differences, entry["path"]) if mean is None else own)
    return merged


def _pick(tree: Tree, path: list[str]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _only(tree: Tree, paths: list[list[str]]) -> Tree:
    kept: Tree = {}
    for path in paths:
        place(kept, path, _pick(tree, path))
    return kept


if __name__ == "__main__":
    del sys.path[0]  # this file's folder: its neighbours are no top-level modules
    sys.exit(main(Path(sys.argv[1])))
