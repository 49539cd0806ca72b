"""The shapes both sides of the CTRL port are built in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that make a CTRL."""

    vocab_size: int
    width: int
    n_layers: int
    n_heads: int
    inner_width: int
    n_positions: int = 256
    epsilon: float = 1.0e-6


SHAPES = {
    "small": Shape(97, 64, n_layers=4, n_heads=4, inner_width=256),
    # Salesforce/ctrl, its vocabulary cut from 246,534 to fit a small machine
    "published": Shape(5000, 1280, n_layers=48, n_heads=16, inner_width=8192),
}


def shape_of(settings: Mapping[str, object]) -> Shape:
    """The shape that `size` and `vocab` (0: the size's own) name.

    Raises:
        ValueError: there is no such size, or the vocabulary is negative.
    """
    size, vocab = str(settings.get("size", "small")), int(str(settings.get("vocab", 0)))
    if size not in SHAPES or vocab < 0:
        raise ValueError(
            f"size is {size!r}, vocab is {vocab}; this port has the sizes {', '.join(SHAPES)} and "
            "vocabularies from 1 up, 0 for the size's own"
        )
    return replace(SHAPES[size], vocab_size=vocab or SHAPES[size].vocab_size)
