"""Whether there is room for a float64 twin, and for both sides at once: bytes, counted ahead.

What is counted is the weights; activations of one batch come on top and are left to the share of
the free memory that isn't planned for.
"""

from __future__ import annotations

import math

from portalign.records import Step, Structure
from portalign.request import CaptureRequest

# What a side needs at once per byte of native weights. Training adds gradients and two optimizer
# moments.
_NATIVE = {Step.FORWARD: 1, Step.METRIC: 1, Step.BACKWARD: 4}
# The same with a whole twin: the native weights and, as large as two of them, the lifted ones.
_WHOLE = {Step.FORWARD: 3, Step.METRIC: 3, Step.BACKWARD: 9}
# By segments: the native weights, and the largest tensor lifted beside a copy in another layout.
_LARGEST = 4
_BASE_BYTES = 2 * 2**30  # two processes with their frameworks
# Share of the free memory that may be planned for.
_SHARE = 0.8


def choose_twin(
    request: CaptureRequest, structure: Structure | None, *, free_bytes: int
) -> tuple[str, str]:
    """Which twin a side can have: "on", "segments" or "off".

    Training has no segments: its gradients, optimizer state and updated weights are float64 all at
    once. There `segments` means what fits, as `auto` does.

    Returns:
        The twin, and a note where it is less than was asked for; "" where it isn't.
    """
    has_segments = request.step is not Step.BACKWARD
    if request.twin in ("on", "off") or (request.twin == "segments" and has_segments):
        return request.twin, ""
    at_once = request.parallel == "on"
    whole = _needed(request, structure, "on", at_once=at_once)
    if _fits(whole, free_bytes):
        return "on", ""
    found = f"a whole one needs about {_gib(whole)}, and {_gib(free_bytes)} are free"
    parts = _needed(request, structure, "segments", at_once=at_once)
    if has_segments and _fits(parts, free_bytes):
        return "segments", f"float64 twin by segments, in about {_gib(parts)}: {found}"
    found += "" if has_segments else "; training can't be lifted by segments"
    told = f"no float64 twin: {found}; a tolerance decides instead (`--set twin=on` insists)"
    return "off", told


def fits_both(
    request: CaptureRequest, structure: Structure | None, *, twin: str, free_bytes: int
) -> bool:
    """Whether both sides can run at once with such a twin each."""
    return _fits(_needed(request, structure, twin, at_once=True), free_bytes)


def _needed(
    request: CaptureRequest, structure: Structure | None, twin: str, *, at_once: bool
) -> int:
    """Bytes for both sides at once, or for one that runs while the other's native model waits."""
    entries = structure.state if structure else ()
    sizes = [4 * math.prod(entry.shape) for entry in entries if entry.tied_to is None]
    weights, largest = sum(sizes), max(sizes, default=0)
    native = _NATIVE.get(request.step, 1) * weights
    side = {
        "on": _WHOLE.get(request.step, 1) * weights,
        "segments": native + _LARGEST * largest,
    }.get(twin, native)
    return _BASE_BYTES + (2 * side if at_once else side + weights)


def _fits(needed_bytes: int, free_bytes: int) -> bool:
    return needed_bytes <= _SHARE * free_bytes


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"
