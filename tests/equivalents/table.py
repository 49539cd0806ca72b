"""The whole table: every area with its rows, how they are measured, and ``docs/equivalents.md``."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

with warnings.catch_warnings():
    # paddle 3.3.1 warns on import where ccache is missing.
    warnings.filterwarnings("ignore", message=".*ccache", category=UserWarning)
    from equivalents import loss, lr_scheduler, metric, optimizer

from equivalents.measured import Measured
from portalign.equivalents import losses, metrics, optimizers, schedulers
from portalign.equivalents.rows import Area, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "equivalents.md"
# A further area is one line here: its rows, and the function that measures one of them.
AREAS: Mapping[Area, tuple[Sequence[Row], Callable[[Row], Measured]]] = {
    Area.LR_SCHEDULER: (schedulers.ROWS, lr_scheduler.measure),
    Area.OPTIMIZER: (optimizers.ROWS, optimizer.measure),
    Area.LOSS: (losses.ROWS, loss.measure),
    Area.METRIC: (metrics.ROWS, metric.measure),
}
HEAD = """\
# What stands for what

Written by `make equivalents` from the rows in `pipeline/portalign/equivalents/`; don't edit it.
Each row is one entry of a port file and what both frameworks build of it. Every row was run in
both (torch 2.13.0, paddlepaddle 3.3.1, on a CPU); "measured" is the greatest difference over all
iterations, divided by the greatest value of the reference. The tests run every row again and hold
it to its claim. A row that **differs** is a known difference of the frameworks: no argument can
remove it, portalign reports it, and the number says how large it is.
"""
INTRODUCTIONS = {
    Area.LR_SCHEDULER: (
        "## Learning rate schedulers: `lr_scheduler:`",
        "The curve that the optimizer uses, 100 iterations, in double. In torch the LR is read\n"
        'from `optimizer.param_groups[0]["lr"]`, in Paddle from `optimizer.get_lr()`; a Paddle\n'
        "scheduler's own `get_lr()` steps its recurrence and must not be used for reading.",
    ),
    Area.OPTIMIZER: (
        "## Optimizers: `optimizer:`",
        "The update of every weight by the same gradients (of size 0.01), 45 iterations with a\n"
        "warmup of 5, in the float64 twins. What Paddle keeps in float32 is rounded on the torch\n"
        "twin, so what is left is what the two compute differently. portalign's defaults are\n"
        "torch's, and it passes every one of them to Paddle. LBFGS can't be named in a port file.",
    ),
    Area.LOSS: (
        "## Losses: `loss:`",
        "Values and gradients of the same outputs and labels in the float64 twins: 40 batches of\n"
        "12, 5 classes. An entry that names no reduction was run with `mean` (the default), `sum`\n"
        "and `none`: the frameworks' unreduced losses, and their mean over all elements. Where an\n"
        "entry names `ignore_index`, a third of the labels is ignored.",
    ),
    Area.METRIC: (
        "## Metrics: `metrics:`",
        "The value after each of 40 batches, the last one short, on scores with many equal ones,\n"
        "a class that never occurs and, where the entry names `ignore_index`, labels to be\n"
        "ignored. Samples of all batches count alike on both sides. With `as_is: true` each\n"
        "framework's own call is made as its users make it; portalign's entries without it settle\n"
        "what that leaves open. `axis` is the axis of the classes (-1; 1 for `miou`).",
    ),
}
_MEASURED = re.compile(r"\| (?:agrees|\*\*differs\*\*): (bit for bit|[0-9.]+(?:e[-+][0-9]+)?)")


def rows() -> list[Row]:
    """Every row of every area."""
    return [row for some, _ in AREAS.values() for row in some]


def measure(row: Row) -> Measured:
    """Run one row in both frameworks."""
    return AREAS[row.area][1](row)


def document(numbers: Sequence[float]) -> str:
    """The text of ``docs/equivalents.md``.

    Args:
        numbers: the measured difference of each of `rows()`.
    """
    parts, found = [HEAD], iter(numbers)
    for area, (some, _) in AREAS.items():
        title, text = INTRODUCTIONS[area]
        table = [
            "| Entry | PyTorch | Paddle | Measured | Mind |",
            "|---|---|---|---|---|",
            *(_line(row, next(found)) for row in some),
        ]
        parts.append("\n\n".join([title, text, "\n".join(table)]) + "\n")
    return "\n".join(parts)


def documented(text: str) -> list[float]:
    """The measured differences that a document states, row by row."""
    return [0.0 if n == "bit for bit" else float(n) for n in _MEASURED.findall(text)]


def _line(row: Row, number: float) -> str:
    told = "bit for bit" if number == 0.0 else f"{number:.1g}"
    kind = "agrees" if math.isnan(row.differs_by) else "**differs**"
    beside = f", `accumulate: {row.accumulate}`" if row.accumulate > 1 else ""
    cells = [
        f"{row.title}<br>`{_flow(row.entry)}`{beside}",
        f"`{row.torch}`",
        f"`{row.paddle}`",
        f"{kind}: {told}",
        " ".join(part for part in (row.why, row.caution) if part),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _flow(entry: Mapping[str, object]) -> str:
    """The entry as a port file has it, in one line; the middle of a long list left out."""
    short = {
        key: [*value[:5], "...", value[-1]] if isinstance(value, list) and len(value) > 8 else value
        for key, value in entry.items()
    }
    text = yaml.safe_dump(short, default_flow_style=True, sort_keys=False, width=10_000)
    return str(text).strip().replace("'...'", "...")


def main() -> int:
    """Measure every row and write the document."""
    text = document([measure(row).difference for row in rows()])
    DOCUMENT.write_text(text, encoding="utf-8")
    print(f"{len(rows())} rows measured: {DOCUMENT}")
    return 0
