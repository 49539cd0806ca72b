"""Pairs that only content tells, and the ways in which tensors are equal and not the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from portalign.compare.content import without_doubtful
from portalign.compare.pairs import compare
from portalign.mapping.names import match_state
from portalign.mapping.pair import Pair, Pairing, pair
from portalign.records import (
    Array,
    Kind,
    ModuleInfo,
    Precision,
    Role,
    Structure,
    TensorKey,
    TensorRecord,
    Trace,
)
from structures import tensors, trace

BATCH, TIME, HEADS, WIDTH = 2, 5, 4, 3


def random(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@dataclass(frozen=True)
class Seen:
    """One record: a place, its float64 values, and the earlier one it is an alias of."""

    path: str
    slot: str
    values: Array
    kind: Kind = Kind.ACTIVATION
    alias_of: int | None = None


def side(role: Role, records: Sequence[Seen], *, twins: bool, dtype: str) -> Trace:
    """A trace of a model with one mapped layer `fc`; every other module stands on its own side."""
    paths = sorted({record.path for record in records} - {""})
    modules = tuple(ModuleInfo(path, "Linear" if path == "fc" else path) for path in paths)
    tree = replace(tensors(("fc.weight", (4, 4))), modules=modules)
    found = []
    for record in records:
        key = TensorKey(record.kind, record.path, record.slot)
        is_float = record.values.dtype.kind == "f"
        low = record.values.astype(dtype) if is_float else record.values
        found.append(TensorRecord(key, 0, low, low.dtype.name))
        if twins:
            lifted = replace(key, precision=Precision.FLOAT64)
            found.append(TensorRecord(lifted, 0, record.values, "float64"))
    whole = trace(role, found, tree)
    step = 2 if twins else 1
    aliases = {step * at: record.alias_of for at, record in enumerate(records)}
    linked = tuple(
        r if aliases.get(r.order) is None else replace(r, alias_of=step * (aliases[r.order] or 0))
        for r in whole.records
    )
    return replace(whole, records=linked)


def paired(
    ours: Sequence[Seen], theirs: Sequence[Seen], *, twins: bool = True, dtype: str = "float32"
) -> Pairing:
    traces = (
        side(Role.REFERENCE, ours, twins=twins, dtype=dtype),
        side(Role.CANDIDATE, theirs, twins=twins, dtype=dtype),
    )
    return pair(*traces, match_state(_tree(traces[0]), _tree(traces[1])))


def _tree(whole: Trace) -> Structure:
    assert whole.info is not None
    assert whole.info.structure is not None
    return whole.info.structure


def by_content(found: Pairing) -> dict[str, Pair]:
    return {p.label: p for p in found.pairs if p.how.startswith("content")}


CONTEXT = random(BATCH, HEADS, TIME, WIDTH)
BEFORE, AFTER = random(BATCH, 4, seed=2), random(BATCH, 4, seed=3)


def around(*inner: Seen) -> list[Seen]:
    """A run: the mapped layer first, the rest between its output and the model's."""
    return [
        Seen("", "in.0", BEFORE),
        Seen("fc", "in.0", BEFORE, alias_of=0),
        Seen("fc", "out.0", BEFORE + 1),
        *inner,
        Seen("", "out.0", AFTER),
    ]


LAYOUTS = {
    "as is": CONTEXT,
    "heads last": CONTEXT.transpose(0, 2, 1, 3),
    "heads in the width": CONTEXT.transpose(0, 2, 1, 3).reshape(BATCH, TIME, -1),
    "heads in the batch": CONTEXT.reshape(-1, TIME, WIDTH),
    "all rows in one": CONTEXT.transpose(0, 2, 1, 3).reshape(BATCH * TIME, -1),
    "up to rounding": CONTEXT * (1 + 1e-15),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_only_equal_tensors_are_paired_in_whatever_layout(name: str, is_reversed: bool) -> None:
    values = [CONTEXT, LAYOUTS[name]]
    values = values[::-1] if is_reversed else values

    found = paired(*(around(Seen(p, "out.0", v)) for p, v in zip("ab", values, strict=True)))

    one = by_content(found)["a out.0"]
    twin = found.twin(one)
    assert (one.candidate.key.path, one.how) == ("b", f"content ({one.layout})")
    assert twin is not None
    np.testing.assert_allclose(twin.candidate_values(), values[0], rtol=1e-14)
    assert {u.key.path for u in found.unpaired} == set()


FLAT = random(40)
SYMMETRIC = random(6, 6) + random(6, 6).T
NOT_TELLING = {
    "zeros": np.zeros((4, 10)),
    "a constant": np.full((4, 10), 0.37),
    "a mask": np.where(random(4, 10) > 0, 0.0, -1e9),
    "few values": np.round(random(4, 10)) / 3,
    "positions": np.arange(40.0).reshape(4, 10),
    "scaled positions": np.arange(40.0).reshape(4, 10) / 512,
    "steps": np.linspace(-1, 1, 40).reshape(4, 10),
    "counts": (random(4, 10) * 50).round(),
    "integers": np.arange(40).reshape(4, 10),
    "a handful": random(3, 4),
    "infinities": np.where(FLAT > 1, np.inf, FLAT).reshape(4, 10),
    "NaN": np.where(FLAT > 1, np.nan, FLAT).reshape(4, 10),
    "symmetric, so that its transpose is equal too": SYMMETRIC,
}


@pytest.mark.parametrize("name", NOT_TELLING)
def test_values_that_are_equal_anywhere_pair_nothing(name: str) -> None:
    values = NOT_TELLING[name]

    found = paired(around(Seen("a", "out.0", values)), around(Seen("b", "out.0", values)))

    assert by_content(found) == {}
    assert {u.key.path for u in found.unpaired} == {"a", "b"}


def test_a_tensor_that_is_there_twice_is_paired_with_none_of_both() -> None:
    twice = [Seen("a", "out.0", CONTEXT), Seen("c", "out.0", CONTEXT.transpose(0, 2, 1, 3))]
    once = [Seen("b", "out.0", CONTEXT)]

    assert by_content(paired(around(*twice), around(*once))) == {}
    assert by_content(paired(around(*once), around(*twice))) == {}


def test_names_of_one_tensor_are_not_two() -> None:
    """An alias, and what a dropout hands on as a copy in evaluation."""
    ours = around(Seen("a", "out.0", CONTEXT), Seen("c", "in.0", CONTEXT, alias_of=3))
    theirs = around(Seen("drop", "in.0", CONTEXT), Seen("drop", "out.0", CONTEXT))

    found = by_content(paired(ours, theirs))

    assert [p.candidate.key.name for p in found.values()] == ["drop.out.0"]


ROWS = random(BATCH, TIME, 12)
HEADED = ROWS.reshape(BATCH, TIME, HEADS, WIDTH)


def projected(*inner: Seen) -> list[Seen]:
    return [Seen("fc", "in.0", random(BATCH, TIME, 4)), Seen("fc", "out.0", ROWS), *inner]


def test_a_copy_of_a_paired_tensor_is_no_pair() -> None:
    """A residual: the same values wait at places that have nothing to do with each other."""
    ours, theirs = projected(Seen("a", "in.0", ROWS)), projected(Seen("b", "in.0", ROWS))

    assert by_content(paired(ours, theirs)) == {}


def test_a_paired_tensor_laid_out_anew_is_one() -> None:
    ours = projected(Seen("a", "in.0", HEADED))
    theirs = projected(Seen("b", "in.0", HEADED.transpose(0, 2, 1, 3)))

    assert list(by_content(paired(ours, theirs))) == ["a in.0"]


def test_what_comes_from_a_tensor_that_only_one_side_has_is_none() -> None:
    """The reference's rows are another tensor's than the candidate's, though the heads agree."""
    ours = projected(Seen("a", "in.0", HEADED))
    theirs = [*around(), Seen("b", "in.0", HEADED)]
    theirs[2] = Seen("fc", "out.0", random(BATCH, TIME, 12, seed=5))

    assert by_content(paired(ours, theirs)) == {}


def test_equal_tensors_on_two_sides_of_a_pair_are_none() -> None:
    before = [Seen("a", "in.0", FLAT), Seen("a", "out.0", CONTEXT), *around()[1:3]]
    after = [*around()[1:3], Seen("b", "in.0", random(40, seed=8)), Seen("b", "out.0", CONTEXT)]

    assert by_content(paired(before, after)) == {}


def test_tensors_that_ran_in_another_order_are_none() -> None:
    other = random(BATCH, TIME, 7)
    ours = around(
        Seen("a", "in.0", random(9, 9)),
        Seen("a", "out.0", CONTEXT),
        Seen("c", "in.0", random(9, 8)),
        Seen("c", "out.0", other),
    )
    theirs = around(
        Seen("d", "in.0", random(9, 7)),
        Seen("d", "out.0", other),
        Seen("b", "in.0", random(9, 6)),
        Seen("b", "out.0", CONTEXT),
    )

    assert by_content(paired(ours, theirs)) == {}


@pytest.mark.parametrize(("apart", "is_paired"), [(1e-7, False), (1e-12, True)])
def test_twins_decide_though_float32_sees_no_difference(apart: float, is_paired: bool) -> None:
    other = CONTEXT * (1 + apart * np.sign(random(*CONTEXT.shape, seed=4)))

    found = paired(around(Seen("a", "out.0", CONTEXT)), around(Seen("b", "out.0", other)))

    assert bool(by_content(found)) == is_paired


@pytest.mark.parametrize(("dtype", "is_paired"), [("float32", True), ("float16", False)])
def test_without_twins_float32_may_tell_and_less_may_not(dtype: str, is_paired: bool) -> None:
    ours, theirs = around(Seen("a", "out.0", CONTEXT)), around(Seen("b", "out.0", CONTEXT))

    assert bool(by_content(paired(ours, theirs, twins=False, dtype=dtype))) == is_paired


def test_gradients_of_equal_activations_are_paired_only_where_they_are_equal_too() -> None:
    """Other modules of the two sides may use the same values; that is no fault."""
    gradient = random(*CONTEXT.shape, seed=6)
    ours = around(Seen("a", "out.0", CONTEXT), Seen("a", "out.0", gradient, Kind.GRADIENT))
    turned, swapped = CONTEXT.transpose(0, 2, 1, 3), gradient.transpose(0, 2, 1, 3)

    for values, labels in (
        (swapped, {"a out.0", "grad a out.0"}),
        (2 * swapped, {"a out.0"}),
        (np.zeros_like(swapped), {"a out.0"}),
    ):
        theirs = around(Seen("b", "out.0", turned), Seen("b", "out.0", values, Kind.GRADIENT))
        assert set(by_content(paired(ours, theirs))) == labels


def test_a_pair_by_content_that_differs_as_it_ran_is_taken_back() -> None:
    """Before and after a cast to bfloat16: two points that are one in float64."""
    found = paired(around(Seen("a", "out.0", CONTEXT)), around(Seen("b", "out.0", CONTEXT)))
    coarse = [
        replace(p, candidate=replace(p.candidate, array=np.round(p.candidate.array, 2)))
        if p.how.startswith("content")
        else p
        for p in found.pairs
    ]
    rounded = replace(found, pairs=tuple(coarse))

    def kept(pairing: Pairing) -> Pairing:
        comparisons = []
        for each in pairing.pairs:
            twin = pairing.twin(each)
            assert twin is not None
            comparisons.append(
                compare(
                    each.reference.array,
                    each.candidate_values(),
                    key=each.reference.key,
                    twins=(twin.reference.array, twin.candidate_values()),
                )
            )
        left, judged = without_doubtful(pairing, comparisons)
        assert len(left.pairs) == len(judged)
        return left

    assert list(by_content(kept(found))) == ["a out.0"]
    assert by_content(kept(rounded)) == {}
    assert [u.key.path for u in kept(rounded).unpaired] == ["a", "b"]
    assert "but not as it ran" in kept(rounded).unpaired[0].reason


TIMES = random(BATCH, TIME, 4, seed=9)
OUT = random(BATCH, TIME, 7, seed=10)


def flat(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1])


def turned(values: Array) -> Array:
    return values.transpose(1, 0, 2)


@pytest.mark.parametrize("way", [flat, turned])
@pytest.mark.parametrize("is_faulty", [False, True])
def test_a_module_that_takes_its_rows_otherwise_is_compared_right_or_wrong(
    way: Callable[[Array], Array], is_faulty: bool
) -> None:
    """Time first against batch first, or all rows in one: the output lies as the input does."""
    result = way(OUT) * (2 if is_faulty else 1)
    ours = [Seen("fc", "in.0", TIMES), Seen("fc", "out.0", OUT)]
    theirs = [Seen("fc", "in.0", way(TIMES)), Seen("fc", "out.0", result)]

    found = {p.label: p for p in paired(ours, theirs).pairs}

    out = found["fc out.0"]
    assert ("laid out like its input" if is_faulty else "as its values show") in out.how
    expected = OUT.astype(np.float32) * (2 if is_faulty else 1)
    np.testing.assert_array_equal(out.candidate_values(), expected)


def test_a_module_whose_input_tells_nothing_is_not_laid_out_by_its_shape() -> None:
    ours = [Seen("fc", "in.0", TIMES), Seen("fc", "out.0", OUT)]
    theirs = [Seen("fc", "in.0", 2 * turned(TIMES)), Seen("fc", "out.0", 2 * turned(OUT))]

    found = paired(ours, theirs)

    assert not found.pairs
    assert {u.key.name for u in found.unpaired} == {"fc.in.0", "fc.out.0"}
