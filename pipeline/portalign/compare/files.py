"""Compare two dumps on disk, whoever wrote them, array by array under equal names.

Reading is `portalign.foreign`'s; there are no float64 twins here, so a tolerance per dtype decides.
Large dumps are shared out to processes (`shares`), each of which holds no more than the pieces of
its own pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from portalign.compare.pairs import compare
from portalign.compare.shares import shared_out
from portalign.compare.tolerance import for_dtype
from portalign.foreign import read_arrays
from portalign.records import Array, Kind, Role, TensorKey
from portalign.results import Comparison, Unpaired


def compare_files(
    reference: Path, candidate: Path, *, relative: float | None = None
) -> tuple[tuple[Comparison, ...], tuple[Unpaired, ...]]:
    """Pair the arrays of two files (or folders) by name and judge each pair.

    Args:
        reference: a dump `portalign.foreign.read_arrays` can read.
        candidate: likewise.
        relative: relative Frobenius tolerance for floats, instead of the measured one per dtype.

    Returns:
        Comparisons in the reference's order, and what stands on one side only, which keeps the
        whole from passing. `pairs.overall` tells the outcome: INCONCLUSIVE if nothing was compared.

    Raises:
        InputError: a file can't be read.

    Two bare ``.npy`` arrays pair whatever their files are called. Shapes must be equal, with one
    exception: a scalar that the other side holds as ``(1,)``, as older frameworks write a loss, is
    compared as a scalar.
    """
    arrays = [read_arrays(path) for path in (reference, candidate)]
    if all(_is_bare(path, side) for path, side in zip((reference, candidate), arrays, strict=True)):
        arrays[1] = {reference.stem: arrays[1][candidate.stem]}
    keys = [{name: TensorKey(Kind.OUTPUT, name) for name in side} for side in arrays]

    def compared(pair: tuple[int, str]) -> Comparison:
        order, name = pair
        array = arrays[0][name]
        other = _as_scalar_like(array, arrays[1][name])
        tolerance = for_dtype(array.dtype.name, relative=relative)
        return compare(
            array, other, key=keys[0][name], tolerance=tolerance, label=name, order=order
        )

    paired = [(order, name) for order, name in enumerate(arrays[0]) if name in arrays[1]]
    n_bytes = sum(arrays[0][name].nbytes for _, name in paired)
    comparisons = shared_out(compared, paired, n_bytes=n_bytes)
    unpaired = [
        Unpaired(
            role.value, key, f"the {missing.value} has no array of this name", is_promised=True
        )
        for role, missing, own, others in (
            (Role.REFERENCE, Role.CANDIDATE, keys[0], keys[1]),
            (Role.CANDIDATE, Role.REFERENCE, keys[1], keys[0]),
        )
        for name, key in own.items()
        if name not in others
    ]
    return tuple(comparisons), tuple(unpaired)


def _is_bare(path: Path, arrays: Mapping[str, Array]) -> bool:
    """One array without a name of its own: it is called after its file."""
    return path.suffix == ".npy" and list(arrays) == [path.stem]


def _as_scalar_like(reference: Array, candidate: Array) -> Array:
    """The candidate, as a scalar or ``(1,)`` like the reference: one element pairs one way."""
    if {reference.shape, candidate.shape} == {(), (1,)}:
        return candidate.reshape(reference.shape)
    return candidate
