"""Layouts: each move and its inverse, and when a matrix is transposed."""

from __future__ import annotations

import numpy as np
import pytest

from portalign.errors import MappingError
from portalign.mapping.axes import Leaf, axes_of, decide, family_of
from portalign.mapping.layouts import (
    AS_IS,
    TRANSPOSED,
    Layout,
    Packed,
    Permute,
    Repack,
    Reshape,
    Transpose,
)

ALONE = (Packed((0,)), Packed((1,)), Packed((2,)))
SPLIT = Repack(0, (2, 2, 2), (Packed((0, 1, 2)),), ALONE)
Q_AND_KV = (Packed((0,)), Packed((1, 2)))
BY_HEADS = Repack(-1, (4, 2, 2), ALONE, (Packed((0, 1, 2), 2),))


def leaf(shape: tuple[int, ...], framework: str, module: str, *, dtype_kind: str = "float") -> Leaf:
    return Leaf(
        shape,
        family_of(framework, module),
        axes_of(framework, module, "weight"),
        f"{framework} {module}",
        dtype_kind,
    )


@pytest.mark.parametrize(
    ("layout", "shapes", "moved"),
    [
        (AS_IS, [(2, 3)], [(2, 3)]),
        (TRANSPOSED, [(2, 3)], [(3, 2)]),
        (Layout((Reshape((2, 3), (6,)),)), [(2, 3)], [(6,)]),
        (Layout((Permute((2, 0, 1)),)), [(2, 3, 4)], [(4, 2, 3)]),
        (Layout((SPLIT, Transpose())), [(6, 5)], [(5, 2)] * 3),
        (Layout((Transpose(), SPLIT.inverse())), [(5, 2)] * 3, [(6, 5)]),
        (Layout((BY_HEADS,)), [(3, 4), (3, 2), (3, 2)], [(3, 8)]),
        (Layout((Repack(0, (2, 1, 1), Q_AND_KV, (Packed((2, 0, 1)),)),)), [(2, 3)] * 2, [(4, 3)]),
    ],
    ids=["as-is", "transpose", "reshape", "permute", "split", "join", "in groups", "in new order"],
)
def test_every_layout_leads_back_to_the_same_values(
    layout: Layout, shapes: list[tuple[int, ...]], moved: list[tuple[int, ...]]
) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]

    there = layout.forward_all(arrays)
    back = layout.backward_all(there)

    assert [array.shape for array in there] == moved
    assert all(np.array_equal(a, b) for a, b in zip(arrays, back, strict=True))


def test_a_transposed_layout_gives_views_and_no_copies() -> None:
    array = np.zeros((2, 3))

    assert np.shares_memory(TRANSPOSED.backward(TRANSPOSED.forward(array)), array)


def test_parts_packed_head_by_head_lie_as_bloom_and_gpt_neox_keep_them() -> None:
    q, k, v = (np.random.default_rng(at).normal(size=(5, 12)) for at in range(3))
    packing = Repack(-1, (12, 12, 12), ALONE, (Packed((0, 1, 2), 4),))

    (fused,) = packing.apply([q, k, v])

    heads = np.stack([part.reshape(5, 4, 3) for part in (q, k, v)], axis=2)  # [5, heads, 3, width]
    assert np.array_equal(fused, heads.reshape(5, 36))


@pytest.mark.parametrize("shapes", [[(2, 5)] * 2, [(2, 5), (2, 5), (3, 5)]])
def test_joining_too_few_or_too_long_arrays_is_an_error(shapes: list[tuple[int, int]]) -> None:
    with pytest.raises(MappingError, match=r"axis 0 where \[2, 2, 2\] are packed"):
        SPLIT.inverse().apply([np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        (leaf((4, 4), "torch", "Linear"), leaf((4, 4), "paddle", "Linear"), TRANSPOSED),
        (leaf((4, 4), "torch", "Conv1D"), leaf((4, 4), "paddle", "Linear"), AS_IS),
        (leaf((4, 4), "torch", "Conv1D"), leaf((4, 4), "torch", "Linear"), TRANSPOSED),
        (leaf((4, 4), "torch", "Linear"), leaf((4, 4), "torch", "Linear"), AS_IS),
        (leaf((4, 4), "torch", "Embedding"), leaf((4, 4), "paddle", "Embedding"), AS_IS),
        (leaf((4, 4), "torch", "LSTMCell"), leaf((4, 4), "paddle", "LSTMCell"), AS_IS),
        (leaf((4, 4), "torch", "LayerNorm"), leaf((16,), "paddle", "LayerNorm"), None),
        (leaf((4, 4), "torch", "Mine"), leaf((4, 4), "torch", "Theirs"), AS_IS),
        (leaf((4, 5), "torch", "Mine"), leaf((5, 4), "paddle", "Mine"), TRANSPOSED),
        (leaf((4, 5), "torch", "Mine"), leaf((4, 5), "paddle", "Mine"), AS_IS),
    ],
    ids=[
        "linear",
        "gpt2-conv1d-to-paddle",
        "gpt2-conv1d-to-linear",
        "linear-same-framework",
        "embedding",
        "lstm-cell",
        "flat-layer-norm",
        "custom-same-framework",
        "custom-fits-transposed",
        "custom-fits-as-is",
    ],
)
def test_a_known_type_decides_and_only_an_unknown_one_asks_the_shape(
    reference: Leaf, candidate: Leaf, expected: Layout | None
) -> None:
    same = reference.owner.split()[0] == candidate.owner.split()[0]

    found = decide(reference, candidate, same_framework=same, forced=None)

    assert found.layout == (expected or Layout((Reshape((4, 4), (16,)),)))


def test_a_known_type_is_never_transposed_to_make_shapes_fit() -> None:
    found = decide(
        leaf((4, 5), "torch", "Linear"),
        leaf((4, 5), "paddle", "Linear"),
        same_framework=False,
        forced=None,
    )

    assert found.layout is None
    assert "candidate has [4, 5]" in found.reason
    assert "[5, 4]" in found.reason


def test_a_square_matrix_of_unknown_type_stays_open_until_it_is_said() -> None:
    pair = leaf((4, 4), "torch", "Mine"), leaf((4, 4), "paddle", "Mine")

    assert decide(*pair, same_framework=False, forced=None).is_open
    assert decide(*pair, same_framework=False, forced="transposed").layout == TRANSPOSED
    assert decide(*pair, same_framework=False, forced="as_is").layout == AS_IS


def test_numbers_of_different_kind_are_never_loaded() -> None:
    found = decide(
        leaf((4,), "torch", "Mine", dtype_kind="bool"),
        leaf((4,), "torch", "Mine"),
        same_framework=True,
        forced=None,
    )

    assert found.layout is None
    assert "reference holds bools, candidate floats" in found.reason
