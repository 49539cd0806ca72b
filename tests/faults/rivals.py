"""What the tools of the field say of the same pairs: reprod_log at its default, and numpy at
torch's tolerances.

reprod_log runs itself, in one child process for all rows, for importing it imports paddle.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Pairs = dict[str, tuple[Array, Array]]
# torch.testing.assert_close, torch 2.13: (rtol, atol) by dtype
TOLERANCES = {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5), "bfloat16": (1.6e-2, 1e-5)}


def close_by_numpy(pairs: Pairs) -> bool:
    """Whether `numpy.testing.assert_allclose` passes every pair at torch's tolerances for its
    dtype."""
    for reference, candidate in pairs.values():
        rtol, atol = TOLERANCES.get(reference.dtype.name, (0.0, 0.0))
        try:
            np.testing.assert_allclose(wide(candidate), wide(reference), rtol=rtol, atol=atol)
        except AssertionError:
            return False
    return True


def close_by_reprod_log(cases: list[Pairs], folder: Path) -> list[bool]:
    """reprod_log's verdict (mean absolute difference, 1e-6) on each case."""
    arrays = {
        f"{at}/{side}/{key}": wide(pair[side])
        for at, pairs in enumerate(cases)
        for key, pair in pairs.items()
        for side in (0, 1)
    }
    np.savez(folder / "rivals.npz", **arrays)
    command = [sys.executable, "-W", "ignore", __file__, str(folder), str(len(cases))]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    verdicts: list[bool] = json.loads(answer.stdout.splitlines()[-1])
    return verdicts


def why_no_padiff() -> str:
    """Why PaDiff stands in no column; tried with torch 2.13.0 and paddlepaddle 3.3.1."""
    return (
        "PaDiff 0.2.0 (PyPI) has no column: it passes none of the four faithful "
        "ports. It can't give bert and gpt their weights (it finds the shapes of subclassed layers "
        "unequal), "
        "reports a difference in cnn (at a subclass of BatchNorm2D), and raises in rnn."
    )


def wide(array: Array) -> Array:
    """The array in a dtype that numpy and reprod_log compute in."""
    return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else np.asarray(array)


def _judge(folder: Path, n_cases: int) -> list[bool]:
    import logging

    import reprod_log

    verdicts = []
    with np.load(folder / "rivals.npz") as arrays:
        for at in range(n_cases):
            sides: list[dict[str, Array]] = [{}, {}]
            for name in arrays.files:
                number, side, key = name.split("/", 2)
                if int(number) == at:
                    sides[int(side)][key] = arrays[name]
            logging.getLogger("root").handlers.clear()
            helper = reprod_log.ReprodDiffHelper()
            log = folder / "rivals.log"
            helper.compare_info(*sides)
            helper.report(path=str(log))
            verdicts.append("diff check failed" not in log.read_text(encoding="utf-8"))
            log.unlink()
    return verdicts


if __name__ == "__main__":
    print(json.dumps(_judge(Path(sys.argv[1]), int(sys.argv[2]))))
