"""Draws are paired by module, then by order; what doesn't fit is still somebody's counterpart."""

from __future__ import annotations

import numpy as np
import pytest

from portalign.mapping.draws import Draw, Matched, Partners, as_kind

# candidate -> reference: a block with its own names, whose dropout both sides have as a module
OWN = {"": "", "block": "layer", "block.fc": "layer.dense", "block.drop": "layer.dropout"}
HOLDERS = {path: OWN[path] for path in ("", "block", "block.fc")}
PAIRED = Partners(OWN, HOLDERS)


def _draw(path: str, call: int = 0, *, keep: float = 0.9, shape: tuple[int, ...] = (2, 3)) -> Draw:
    return Draw(path, "keep", call, (keep,), np.ones(shape, bool))


def _taken(
    matched: Matched, path: str, *, keep: float = 0.9, shape: tuple[int, ...] = (2, 3)
) -> str:
    found = matched.take(path, "keep", (keep,), shape)
    return f"{found.path} {found.call}" if found else "none"


def test_a_paired_module_takes_its_partners_draw_whatever_came_before() -> None:
    matched = Matched([_draw("layer.attention"), _draw("layer.dropout")], PAIRED)

    assert _taken(matched, "block.drop") == "layer.dropout 0"


def test_a_function_takes_the_draw_of_a_module_nearest_to_the_same_block() -> None:
    matched = Matched(
        [_draw("layer.attention.drop"), _draw("layer.dropout"), _draw("head")], PAIRED
    )

    assert [_taken(matched, "block") for _ in range(2)] == [
        "layer.attention.drop 0",
        "layer.dropout 0",
    ]
    assert _taken(matched, "") == "head 0"
    assert _taken(matched, "") == "none"


def test_within_a_module_order_decides_and_another_rate_does_not_steal_a_later_draw() -> None:
    matched = Matched([_draw("layer", 0, keep=0.9), _draw("layer", 1, keep=0.8)], PAIRED)

    assert _taken(matched, "block", keep=0.8) == "layer 1"
    assert _taken(matched, "block", keep=0.7) == "layer 0"


def test_a_wrong_rate_in_a_paired_module_keeps_to_its_partner() -> None:
    matched = Matched([_draw("layer.dropout", keep=0.9), _draw("layer", keep=0.8)], PAIRED)

    assert _taken(matched, "block.drop", keep=0.8) == "layer.dropout 0"
    assert _taken(matched, "block", keep=0.8) == "layer 0"


def test_a_draw_of_another_shape_is_the_counterpart_when_nothing_else_is_left() -> None:
    matched = Matched([_draw("layer", shape=(6,))], PAIRED)

    assert _taken(matched, "block") == "layer 0"


def test_the_same_side_gets_its_own_draws_back_in_order() -> None:
    matched = Matched([_draw("layer", 0), _draw("other"), _draw("layer", 1)], None)

    assert [_taken(matched, "layer") for _ in range(3)] == ["layer 0", "layer 1", "none"]


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_masks_and_uniform_numbers_give_each_other(keep: float) -> None:
    uniform = np.random.default_rng(0).random(1000).astype(np.float32)
    drawn = Draw("", "uniform", 0, (0.0, 1.0), uniform)

    mask = as_kind(drawn, "keep", (keep,))
    assert mask is not None
    back = as_kind(Draw("", "keep", 0, (keep,), mask), "uniform", (0.0, 1.0))
    assert back is not None

    assert (mask == (np.floor(keep + uniform) == 1)).all()
    assert (np.floor(keep + back) == mask).all()
    assert ((back >= 0) & (back < 1)).all()


def test_normal_numbers_are_no_mask() -> None:
    drawn = Draw("", "normal", 0, (0.0, 1.0), np.zeros(3, np.float32))

    assert as_kind(drawn, "keep", (0.5,)) is None
    assert as_kind(drawn, "normal", (0.0, 1.0)) is drawn.values
