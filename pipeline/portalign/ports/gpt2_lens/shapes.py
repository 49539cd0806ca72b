"""The configurations of the GPT-2 port, as transformers' `GPT2Config` takes them."""

from __future__ import annotations

from collections.abc import Mapping

SHAPES = {
    "small": {"vocab_size": 211, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "published": {
        "vocab_size": 50257,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
    },
}


def shape_of(settings: Mapping[str, object]) -> dict[str, int]:
    """The configuration that `size` names.

    Raises:
        ValueError: there is no such size.
    """
    size = str(settings.get("size", "small"))
    if size not in SHAPES:
        raise ValueError(f"size is {size!r}; this port has {', '.join(SHAPES)}")
    return SHAPES[size]
