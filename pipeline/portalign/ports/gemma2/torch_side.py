"""The reference of the Gemma-2 port: transformers' `Gemma2ForCausalLM`, weights made here.

A freshly initialised Gemma-2 has scores near 0 and norms of exactly 1, where no soft-cap and no
norm weight shows. `build` therefore scatters the norm weights and scales queries, keys and the
embedding until scores reach the caps, as a trained model's do.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from transformers import Gemma2Config, Gemma2ForCausalLM

from portalign.ports.gemma2.shapes import SHAPE, Shape

SEED = 9
SCORE_GAIN = 72.0  # of the query and key projections: scores up to 370, far over the cap of 50
EMBEDDING_GAIN = 16.0  # of the tied embedding: logits up to 18, towards the cap of 30
NORM_NOISE = 0.2


class Gemma2(nn.Module):
    """The language model without its cache."""

    def __init__(self, model: Gemma2ForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits [batch, time, vocab] of token ids [batch, time]."""
        return {"logits": self.model(input_ids=input_ids, use_cache=False).logits}


def build(settings: Mapping[str, object]) -> nn.Module:
    """Build the model, in eval mode, on the CPU, in float32, with eager attention."""
    return _built("eager")


def build_sdpa(settings: Mapping[str, object]) -> nn.Module:
    """Build the same with transformers' sdpa attention, which in 4.48.3 drops the soft-cap."""
    return _built("sdpa")


def _built(attention: str) -> nn.Module:
    torch.manual_seed(SEED)
    model = Gemma2ForCausalLM(config_of(SHAPE, attention)).eval()
    _make_trained_like(model)
    return Gemma2(model)


def config_of(shape: Shape, attention: str) -> Gemma2Config:
    """The configuration of a shape."""
    return Gemma2Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.inner_width,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        head_dim=shape.head_width,
        sliding_window=shape.window,
        max_position_embeddings=shape.n_positions,
        query_pre_attn_scalar=shape.query_scalar,
        attn_logit_softcapping=shape.attention_softcap,
        final_logit_softcapping=shape.final_softcap,
        rms_norm_eps=shape.epsilon,
        attn_implementation=attention,
    )


@torch.no_grad()
def _make_trained_like(model: Gemma2ForCausalLM) -> None:
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.add_(torch.randn_like(parameter) * NORM_NOISE)
        elif "q_proj" in name or "k_proj" in name:
            parameter.mul_(SCORE_GAIN)
        elif "embed_tokens" in name:
            parameter.mul_(EMBEDDING_GAIN)
