"""Which twin the free memory allows, and whether both sides can run at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portalign.records import Kind, ParameterInfo, Role, Step, Structure
from portalign.request import CaptureRequest
from portalign.stages.room import choose_twin, fits_both

GIB = 2**30
# 4 GiB of float32 weights, half of them in one tensor: an embedding tied to the head.
STRUCTURE = Structure(
    "torch",
    (),
    tuple(
        ParameterInfo(name, "", name, "Linear", shape, "float32", Kind.PARAMETER, tied_to=tied)
        for name, shape, tied in (
            ("embedding", (2**19, 2**10), None),
            ("head", (2**19, 2**10), "embedding"),
            ("body", (2**29,), None),
        )
    ),
)
REQUEST = CaptureRequest(
    role=Role.REFERENCE,
    step=Step.FORWARD,
    port="large",
    folder="",
    framework="torch",
    other_framework="paddle",
    build="",
    settings={},
    batches="",
)


# Weights 4, largest tensor 2, both processes 2: a whole twin and a waiting model take 2 + 3 x 4 + 4
# = 18 GiB, one by segments 2 + 4 + 4 x 2 + 4 = 18 GiB too: so large a tensor saves nothing.
@pytest.mark.parametrize(
    ("step", "free", "expected"),
    [
        (Step.FORWARD, 23, "on"),  # 18 of 23 x 0.8
        (Step.FORWARD, 22, "off"),
        (Step.BACKWARD, 53, "on"),  # 2 + 9 x 4 + 4
        (Step.BACKWARD, 52, "off"),
    ],
)
def test_auto_takes_a_whole_twin_where_it_fits(step: Step, free: int, expected: str) -> None:
    found, note = choose_twin(replace(REQUEST, step=step), STRUCTURE, free_bytes=free * GIB)

    assert found == expected
    assert bool(note) == (expected == "off")


SMALL_PARTS = replace(
    STRUCTURE,
    state=tuple(
        ParameterInfo(f"{i}", "", f"{i}", "Linear", (2**20,), "float32", Kind.PARAMETER)
        for i in range(1024)
    ),
)


@pytest.mark.parametrize(("free", "expected"), [(23, "on"), (22, "segments"), (12, "off")])
def test_auto_takes_segments_where_only_they_fit(free: int, expected: str) -> None:
    found, note = choose_twin(REQUEST, SMALL_PARTS, free_bytes=free * GIB)

    assert found == expected
    if expected == "segments":
        assert note == (
            "float64 twin by segments, in about 10.0 GiB: "
            "a whole one needs about 18.0 GiB, and 22.0 GiB are free"
        )
    if expected == "off":
        assert "no float64 twin: a whole one needs about 18.0 GiB, and 12.0 GiB are free" in note
        assert "a tolerance decides instead" in note


def test_training_has_no_segments_and_says_so() -> None:
    training = replace(REQUEST, step=Step.BACKWARD, twin="segments")

    assert choose_twin(training, SMALL_PARTS, free_bytes=60 * GIB) == ("on", "")
    found, note = choose_twin(training, SMALL_PARTS, free_bytes=30 * GIB)

    assert found == "off"
    assert "training can't be lifted by segments" in note


@pytest.mark.parametrize("twin", ["on", "segments", "off"])
def test_what_is_asked_for_is_taken_whatever_is_free(twin: str) -> None:
    assert choose_twin(replace(REQUEST, twin=twin), STRUCTURE, free_bytes=GIB) == (twin, "")


@pytest.mark.parametrize(("twin", "needed"), [("on", 26), ("segments", 10), ("off", 10)])
def test_both_sides_run_at_once_where_both_fit(twin: str, needed: int) -> None:
    """Two sides of 3 x 4 GiB with whole twins, of little more than 4 GiB without."""
    just, short = (needed + 0.1) / 0.8 * GIB, (needed - 0.1) / 0.8 * GIB

    assert fits_both(REQUEST, SMALL_PARTS, twin=twin, free_bytes=int(just))
    assert not fits_both(REQUEST, SMALL_PARTS, twin=twin, free_bytes=int(short))
