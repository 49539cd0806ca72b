"""What the shared inputs can't decide, and which ones would: a check says where it is blind.

These are notes and never verdicts. What float64 twins decide (an eps under the rounding of
bfloat16) is only told where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portalign.diagnose.evidence import Evidence, Site
from portalign.diagnose.registry import all_families
from portalign.diagnose.solved import SPARE
from portalign.findings import OriginKind
from portalign.records import Kind, Precision, TensorRecord, Trace

_LOW = ("bfloat16", "float16")


def undecided(evidence: Evidence, *, n_probed: int = 0, is_padded: bool = False) -> tuple[str, ...]:
    """One sentence for each kind of difference that these inputs would not show.

    Args:
        n_probed: places of the sequences of a probe that was compared besides; 0 if none was.
        is_padded: that probe had rows with padding.
    """
    given = [
        record
        for record in evidence.reference.records
        if record.key.kind is Kind.ACTIVATION
        and record.key.precision is Precision.NATIVE
        and not record.key.path
        and not record.key.iteration
        and record.key.slot.startswith("in.")
        and record.array.ndim == 2
        and record.array.dtype.kind in "iub"
    ]
    masks = () if is_padded else _masks(given)
    return (*masks, *_lengths(evidence, given, n_probed), *_eps(evidence))


def deciding_input(site: Site) -> str:
    """What would explain a place that nothing explains; "" if more input would not help."""
    if site.origin.kind is not OriginKind.MODULE:
        return ""
    for family in all_families():
        if family.name not in ("linear", "conv"):
            continue
        for reading, _ in family.readings(site):
            weight = reading.tensors["weight"]
            n_rows = site.reference.target.size // max(len(weight), 1)
            needed = weight[0].size + SPARE
            if n_rows < needed:
                return (
                    f"run it with at least {needed} rows of input (batch times places), here are "
                    f"{n_rows}: then it can be told whether another weight is used"
                )
    return ""


def _masks(given: list[TensorRecord]) -> Iterator[str]:
    for record in given:
        name = record.key.slot.removeprefix("in.")
        if "mask" in name and record.array.size and bool(np.all(record.array)):
            yield (
                f"{name} hides no place, so these inputs can't tell whether both sides mask "
                "alike, nor with what value: give a batch with padding of several lengths"
            )


def _lengths(evidence: Evidence, given: list[TensorRecord], n_probed: int) -> Iterator[str]:
    lengths = [record.array.shape[1] for record in given]
    if not lengths:
        return
    n_seen = max(*lengths, n_probed)
    for trace in (evidence.reference, evidence.candidate):
        for name, n_places in _windows(trace):
            if n_places >= n_seen:
                yield (
                    f"{name} is {n_places}, and the longest sequence has {n_seen} places: what "
                    "acts only beyond that window can't be seen, a longer one would show it"
                )
                return


def _windows(trace: Trace) -> Iterator[tuple[str, int]]:
    """Windows that a side's settings speak of, as it told them in its flags."""
    told = trace.info.flags.get("windows", "") if trace.info else ""
    for each in filter(None, told.split(", ")):
        name, _, number = each.rpartition("=")
        if number.isdecimal():
            yield name, int(number)


def _eps(evidence: Evidence) -> Iterator[str]:
    info = evidence.reference.info
    structure = info.structure if info else None
    if structure is None or any(
        record.key.precision is Precision.FLOAT64 for record in evidence.reference.records
    ):
        return
    dtypes = {each.dtype for each in structure.state if "norm" in each.module_type.lower()}
    if low := sorted(dtypes.intersection(_LOW)):
        yield (
            f"without float64 twins the eps of a norm is below the rounding of {low[0]}, so it "
            "can't be told: turn the twins on, or give rows of amplitude 3e-3"
        )
