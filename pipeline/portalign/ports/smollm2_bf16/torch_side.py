"""Both sides of the SmolLM2 port: transformers' Llama, loaded from one float32 checkpoint.

The checkpoint is written by each side into a folder of its own, from one seed, and read back by
`from_pretrained`: nothing is downloaded, and the way to bfloat16 is the library's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from portalign.ports.smollm2_bf16.shapes import INITIALIZER_RANGE, ROTARY_BASE, shape_of

SEED = 30


class Smol(nn.Module):
    """The language model without its cache."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits [batch, time, vocab] of token ids [batch, time]."""
        return {"logits": self.model(input_ids=input_ids, use_cache=False).logits}


def loaded_in_bfloat16(settings: Mapping[str, object]) -> nn.Module:
    """Load with `dtype=torch.bfloat16`: weights are cast while they are read.

    Args:
        settings: `size`; with `repair: reference` its rotary buffers are rounded too.
    """
    model = _load(settings, torch.bfloat16)
    if settings.get("repair", "none") == "reference":
        _put_buffers(model, {n: b.to(torch.bfloat16) for n, b in _buffers(model).items()})
    return Smol(model)


def cast_to_bfloat16(settings: Mapping[str, object]) -> nn.Module:
    """Load in float32 and cast with `.to(torch.bfloat16)`: buffers are cast too.

    Args:
        settings: `size`; with `repair: candidate` the rotary buffers are put back as loaded.
    """
    model = _load(settings, torch.float32)
    loaded = {name: buffer.clone() for name, buffer in _buffers(model).items()}
    model = model.to(torch.bfloat16)
    if settings.get("repair", "none") == "candidate":
        _put_buffers(model, loaded)
    return Smol(model)


def _buffers(model: LlamaForCausalLM) -> dict[str, torch.Tensor]:
    """The rotary embedding's buffers, which are in no state dict."""
    return dict(model.model.rotary_emb.named_buffers())


def _put_buffers(model: LlamaForCausalLM, buffers: Mapping[str, torch.Tensor]) -> None:
    for name, buffer in buffers.items():
        setattr(model.model.rotary_emb, name, buffer)


def _load(settings: Mapping[str, object], dtype: torch.dtype) -> LlamaForCausalLM:
    """Write the checkpoint in float32 and load it in `dtype`, in eval mode."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        **shape_of(settings),
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        rms_norm_eps=1.0e-5,
        rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
        initializer_range=INITIALIZER_RANGE,
        attn_implementation="eager",
    )
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(config).save_pretrained(folder)
        return LlamaForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager"
        ).eval()
