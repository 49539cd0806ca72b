"""Both sides of the GPT-2 port: one GPT-2 made here, as transformers runs it and as a lens does.

A freshly initialised GPT-2 has norms of exactly 1 and an unembedding without a mean, where folding
and centring change next to nothing. The weights are therefore scattered, and the last norm's bias
and the embedding share a direction, so that logits lie around -55 as the trained model's do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from portalign.ports.gpt2_lens.shapes import shape_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SEED = 117
MEAN_LOGIT = -55.0
MEAN_NORM = 2.0  # of the embedding rows' mean
NOISE = 0.1


class Lens(nn.Module):
    """A bridge as a module that returns named logits."""

    def __init__(self, bridge: nn.Module) -> None:
        super().__init__()
        self.bridge = bridge

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits [batch, time, vocab] of token ids [batch, time]."""
        return {"logits": self.bridge(input_ids)}


class Gpt2(nn.Module):
    """transformers' model without its cache."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits [batch, time, vocab] of token ids [batch, time]."""
        return {"logits": self.model(input_ids=input_ids, use_cache=False).logits}


def transformers_gpt2(settings: Mapping[str, object]) -> nn.Module:
    """Build transformers' model, in eval mode, in float32.

    Args:
        settings: `size`.
    """
    return Gpt2(_gpt2(settings))


def lens_gpt2(settings: Mapping[str, object]) -> nn.Module:
    """Build TransformerLens' bridge around the same model.

    Args:
        settings: `size`; `processing` (true): fold norms, centre writing weights and unembedding.

    Raises:
        ImportError: `transformer_lens` is not installed in this side's interpreter.
    """
    from transformer_lens.model_bridge import TransformerBridge

    model = _gpt2(settings)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _tokenizer(folder)
        bridge = TransformerBridge.boot_transformers(
            "gpt2", hf_model=model, device="cpu", dtype=torch.float32, tokenizer=tokenizer
        )
    if settings.get("processing", True):
        bridge.enable_compatibility_mode()
    return Lens(bridge.eval())


@torch.no_grad()
def _gpt2(settings: Mapping[str, object]) -> GPT2LMHeadModel:
    torch.manual_seed(SEED)
    config = GPT2Config(
        **shape_of(settings),
        architectures=["GPT2LMHeadModel"],
        attn_implementation="eager",
    )
    model = GPT2LMHeadModel(config).eval()
    for name, parameter in model.named_parameters():
        if "ln_" in name or name.endswith("bias"):
            parameter.add_(torch.randn_like(parameter) * NOISE)
    mean = torch.randn(config.n_embd)
    mean *= MEAN_NORM / mean.norm()
    model.transformer.wte.weight.add_(mean)
    model.transformer.ln_f.bias.add_(mean * MEAN_LOGIT / MEAN_NORM**2)
    return model


def _tokenizer(folder: str) -> PreTrainedTokenizerBase:
    """A tokenizer of two words: the bridge insists on one, and nothing is tokenised here."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    made = Tokenizer(WordLevel({"unknown": 0, "end": 1}, unk_token="unknown"))
    end = {"bos_token": "end", "eos_token": "end", "pad_token": "end"}
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="unknown", **end).save_pretrained(
        folder
    )
    return PreTrainedTokenizerFast.from_pretrained(folder)
