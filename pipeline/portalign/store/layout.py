"""What the files of a trace are called and what one line and the manifest hold: trace schema 1.

Writer and reader both follow this file and nothing else; a change here is a new `SCHEMA`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portalign.records import SideInfo, SkippedRecord, TensorKey

SCHEMA = 1
MANIFEST = "manifest.json"
RECORDS = "records.jsonl"
SHARD = re.compile(r"shard-[0-9]{5,9}\.safetensors")
WEIGHTS = "weights"  # folder in a step's folder: both sides' initial states
DRAWS = "draws"  # folder in a step's folder: the reference's random numbers, a trace an iteration
GRAFT = "graft"  # folder in a step's folder: the trace of the grafted pass
ITERATIONS = "iterations"  # folder in a step's folder: both sides of the state-grafted iterations
PROBE = "probe"  # folder in a step's folder: inputs made by portalign, both sides' runs on them
FAILURE = "failed.txt"  # in one of those: what ended that pass early
# folders in what `portalign.recorder` wrote: the initial state, and the batches
RECORDED_STATE, RECORDED_BATCHES = "state", "batches"
UNFINISHED = ".part"  # added to a name while that file is being written


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `RECORDS`. The array is called ``str(order)`` within its shard.

    Attributes:
        order: position in capture order, from 0, without gaps.
        dtype: as the framework named it; "" for an alias.
        stored: safetensors name of the dtype in the shard; "" for an alias.
        shard: plain file name; "" for an alias.
        alias_of: order of the earlier record with the same tensor; then the array is there.
    """

    order: int
    key: TensorKey
    module_type: str = ""
    dtype: str = ""
    stored: str = ""
    shape: tuple[int, ...] = ()
    shard: str = ""
    alias_of: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `MANIFEST`: its presence says that the trace is whole."""

    schema: int
    n_records: int
    info: SideInfo
    skipped: tuple[SkippedRecord, ...] = ()


def shard_name(number: int) -> str:
    """File name of the n-th shard, from 0.

    >>> shard_name(3)
    'shard-00003.safetensors'
    """
    return f"shard-{number:05d}.safetensors"
