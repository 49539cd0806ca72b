"""The reference of the BERT port: transformers' `BertForSequenceClassification`, weights made here.

A freshly initialised BERT is a poor witness: its biases are 0 and its norms 1, so that a bias left
out or decayed by mistake would not show, and it puts every sentence into one class, so that no
metric could fail. `build` therefore scatters biases and norm parameters around their usual values,
and gives the model an opinion: `mini` is trained briefly, `base` gets its last bias centred.
Nothing is downloaded, and the same settings give the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification

from portalign.ports.bert.data import batches

SIZES: dict[str, dict[str, float]] = {
    "mini": {
        "vocab_size": 1000,  # the lines of lite_data/vocab.txt
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        "initializer_range": 0.05,  # 0.02 leaves so narrow a model almost linear
    },
    "base": {  # the published shape of bert-base-uncased
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "initializer_range": 0.02,
    },
}
SEED = 2018  # any number; change it and every reference weight changes
N_TRAINING_STEPS = 40
TRAINING_LR = 1.0e-3
N_CENTRING_BATCHES = 2  # of 32 sentences


def build(settings: Mapping[str, object]) -> torch.nn.Module:
    """Build the classifier, in eval mode, on the CPU, in the default dtype.

    Args:
        settings: `size`, "mini" (default) or "base".

    Returns:
        A module that takes `input_ids`, `token_type_ids` and `attention_mask`, int64 [batch, time],
        and returns `logits` [batch, 2] and `hidden_states`, a tuple of the embeddings and every
        layer's output, [batch, time, hidden].

    Raises:
        ValueError: there is no such size.
    """
    size = str(settings.get("size", "mini"))
    if size not in SIZES:
        raise ValueError(f"size is {size!r}; this port has {', '.join(SIZES)}")
    torch.manual_seed(SEED)
    config = BertConfig(
        **SIZES[size],
        num_labels=2,
        attn_implementation="eager",
        output_hidden_states=True,
        return_dict=True,
    )
    model = BertForSequenceClassification(config).eval()
    _scatter(model, std=config.initializer_range)
    if size == "mini":
        _train(model)
    else:
        _centre(model)
    return model


@torch.no_grad()
def _scatter(model: BertForSequenceClassification, *, std: float) -> None:
    """Add normal noise to every bias (from 0) and every norm weight (from 1)."""
    for name, parameter in model.named_parameters():
        if name.endswith(".bias") or "LayerNorm" in name:
            parameter.add_(torch.randn_like(parameter) * std)


@torch.enable_grad()
def _train(model: BertForSequenceClassification) -> None:
    """Train for a few epochs, without dropout, so that the model is right more often than not."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=TRAINING_LR)
    data = _batches_of_32()
    for step in range(N_TRAINING_STEPS):
        arguments, labels = data[step % len(data)]
        optimizer.zero_grad()
        cross_entropy(model(**arguments).logits, labels).backward()
        optimizer.step()
    optimizer.zero_grad()


@torch.no_grad()
def _centre(model: BertForSequenceClassification) -> None:
    """Move the last bias so that about half of the sentences fall into each class.

    The border goes into the widest gap among the middle third of the margins: a sentence right on
    it would be a tie, which rounding decides.
    """
    data = _batches_of_32()[:N_CENTRING_BATCHES]
    logits = torch.cat([model(**arguments).logits for arguments, _ in data])  # [64, 2]
    margins = (logits[:, 1] - logits[:, 0]).sort().values
    middle = margins[len(margins) // 3 : -(len(margins) // 3)]
    widest = int((middle[1:] - middle[:-1]).argmax())
    model.classifier.bias[1] -= (middle[widest] + middle[widest + 1]) / 2


def _batches_of_32() -> list[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """The shipped sentences as (model arguments, labels)."""
    data = []
    for batch in batches({"batch_size": 32}):
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        labels = tensors.pop("labels")
        data.append((tensors, labels))
    return data
