"""Measure what naming the causes costs against the captures it works from, in one run.

Rows of the fault matrix are captured, the references once each, and concluded. Processor time
counts on both sides: of the children that capture, their start and imports apart as far as one
child makes many captures, and of the diagnosis alone, without comparing.

    python scripts/bench_explain.py                     # some of the dearest rows
    python scripts/bench_explain.py bert/pre_norm ...   # others
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import portalign.conclude
from faults.captures import Case, capture, cases
from faults.matrix import ROWS
from portalign.diagnose.engine import Diagnosis, diagnose
from portalign.diagnose.evidence import Evidence

DEAREST = (
    "bert/pre_norm",
    "bert/scores_clipped",
    "bert/tokens_shifted",
    "bert/fc2_not_loaded",
    "bert/straight_through",
    "gpt/no_soft_cap",
    "gpt/head_not_tied",
    "gpt/residual_from_norm",
    "gpt/rotary_base",
    "rnn/peephole",
    "rnn/truncated_backward",
    "cnn/channels_shuffled",
)
AIM = 1.0


def main(chosen: Sequence[str]) -> int:
    """Print the ratio of every row and of all; 1 where explaining costs more than capturing."""
    rows = [row for row in ROWS if f"{row.arch}/{row.name}" in chosen and not row.is_benign]
    with tempfile.TemporaryDirectory(prefix="portalign-bench-") as scratch:
        folder = Path(scratch)
        everything = cases(rows, folder, dtype="float32")
        before = _of_children()
        capture(everything, folder)
        captured = _of_children() - before
        explained = [(case.label, _explaining(case)) for case in everything]
    for label, seconds in sorted(explained, key=lambda one: -one[1]):
        print(f"{seconds:7.2f} s  {label}")
    total = sum(seconds for _, seconds in explained)
    print(
        f"explaining {len(explained)} faults {total:.1f} s, capturing them {captured:.1f} s: "
        f"ratio {total / captured:.2f}, aim under {AIM:g}"
    )
    return int(not total < AIM * captured)


def _explaining(case: Case) -> float:
    """Seconds of the processor that the diagnosis of a captured case takes."""
    spent = 0.0

    def timed(evidence: Evidence) -> Diagnosis:
        nonlocal spent
        start = time.process_time()
        found = diagnose(evidence)
        spent += time.process_time() - start
        return found

    portalign.conclude.diagnose = timed
    portalign.conclude.conclude(case.port, case.step, case.folder)
    return spent


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or DEAREST))
