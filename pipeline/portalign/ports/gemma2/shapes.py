"""The shape both sides of the Gemma-2 port are built in: the published structure, reduced."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that make a Gemma-2.

    Attributes:
        query_scalar: scores are divided by its root; 256 in Gemma-2 9B's published configuration.
        window: keys a local layer sees; sequences here are longer.
    """

    vocab_size: int = 211
    width: int = 96
    inner_width: int = 192
    n_layers: int = 4  # local, global, local, global
    n_heads: int = 4
    n_kv_heads: int = 2
    head_width: int = 32
    window: int = 8
    n_positions: int = 64
    query_scalar: int = 256
    attention_softcap: float = 50.0
    final_softcap: float = 30.0
    rotary_base: float = 10000.0
    epsilon: float = 1.0e-6


SHAPE = Shape()
CLAIMS = (
    "attention_scale",
    "no_attention_softcap",
    "no_final_softcap",
    "rotary_bfloat16",
    "rotary_base",
    "rotary_interleaved",
    "layers_swapped",
    "einsum",
)
