"""The reference of the CTRL port: transformers' `CTRLLMHeadModel`, weights made here.

Nothing is downloaded. `weights: random` is the library's own initialisation, as published;
`trained_like` scales it until float32 rounding grows along the depth as it was published for the
trained checkpoint: embeddings are larger, what a layer writes into the residual stream grows with
the root of its number, and 8 channels of 1280 get outliers, ten to thirty times the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from transformers import CTRLConfig, CTRLLMHeadModel

from portalign.ports.ctrl.shapes import Shape, shape_of

SEED = 2019
# Fitted to the published curves by running: at every one of 49 hidden states the mean difference is
# within a factor of 2 of the published one; uniform gains of 2.5 and 8 were off by 7.7 and 2.2.
EMBEDDING_GAIN = 3.0
WRITER_GAIN = 3.5  # of a layer's two projections into the residual stream, times sqrt(its number)
OUTLIER_EVERY = 160  # channels: 8 of 1280
OUTLIER_GAIN = 4.0  # of the rows that write an outlier channel
OUTLIER_BIAS = 12.0  # what each layer adds to it besides
WEIGHTS = ("random", "trained_like")


class Ctrl(nn.Module):
    """The language model, returning what the published comparison looked at."""

    def __init__(self, model: CTRLLMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> dict[str, object]:
        """Loss [], logits [batch, time, vocab] and hidden states, [batch, time, width] each."""
        out = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            labels=labels,
            output_hidden_states=True,
            use_cache=False,
        )
        return {"loss": out.loss, "logits": out.logits, "hidden_states": out.hidden_states}


def build(settings: Mapping[str, object]) -> nn.Module:
    """Build the model, in eval mode, on the CPU, in float32.

    Args:
        settings: `size`, `vocab` (see `shapes`); `weights`, "random" or "trained_like"; `table`:
            with "copied" the position table counts as a weight, so that the candidate gets it.

    Raises:
        ValueError: there is no such size, vocabulary or kind of weights.
    """
    shape, weights = shape_of(settings), str(settings.get("weights", "random"))
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}; this port has {', '.join(WEIGHTS)}")
    torch.manual_seed(SEED)
    config = CTRLConfig(
        vocab_size=shape.vocab_size,
        n_positions=shape.n_positions,
        n_embd=shape.width,
        dff=shape.inner_width,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        layer_norm_epsilon=shape.epsilon,
        attn_implementation="eager",
    )
    with _without_own_initialisation(nn.Linear):
        model = CTRLLMHeadModel(config).eval()
    if weights == "trained_like":
        _make_trained_like(model, shape)
    if settings.get("table", "own") == "copied":
        model.transformer._non_persistent_buffers_set.discard("pos_encoding")
    return Ctrl(model)


@contextmanager
def _without_own_initialisation(kind: type[nn.Linear]) -> Iterator[None]:
    """Leave out torch's initial weights where transformers makes its own afterwards: half the time
    of building the published size.
    """
    own = kind.reset_parameters
    kind.reset_parameters = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        kind.reset_parameters = own  # type: ignore[method-assign]


@torch.no_grad()
def _make_trained_like(model: CTRLLMHeadModel, shape: Shape) -> None:
    """Let the residual stream, and a few of its channels most, grow along the depth."""
    outliers = torch.arange(7 % shape.width, shape.width, min(OUTLIER_EVERY, shape.width // 4))
    model.transformer.w.weight.mul_(EMBEDDING_GAIN)  # the head's weight too: they are tied
    for number, layer in enumerate(model.transformer.h, start=1):
        for writer in (layer.multi_head_attention.dense, layer.ffn[2]):
            writer.weight.mul_(WRITER_GAIN * number**0.5)
        layer.ffn[2].bias[outliers] += OUTLIER_BIAS
        layer.ffn[2].weight[outliers] *= OUTLIER_GAIN
