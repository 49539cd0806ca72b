"""The configurations of the SmolLM2 port, as transformers' `LlamaConfig` takes them."""

from __future__ import annotations

from collections.abc import Mapping

SHAPES: dict[str, dict[str, int]] = {
    "small": {
        "vocab_size": 211,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
    },
    "published": {  # HuggingFaceTB/SmolLM2-135M
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
}
ROTARY_BASE = 100_000.0
INITIALIZER_RANGE = 0.041666666666666664


def shape_of(settings: Mapping[str, object]) -> dict[str, int]:
    """The configuration that `size` names.

    Raises:
        ValueError: there is no such size.
    """
    size = str(settings.get("size", "small"))
    if size not in SHAPES:
        raise ValueError(f"size is {size!r}; this port has {', '.join(SHAPES)}")
    return SHAPES[size]
