"""Rows of weights, positions, resizing and modes, for all architectures."""

from __future__ import annotations

from dataclasses import replace

from faults.row import FRAMEWORKS, Row, benign, forward, unknown

_GIT = "https://github.com/"
_SLOPES = _GIT + "meta-pytorch/attention-gym/pull/86"
_RESIZE = _GIT + "PaddlePaddle/Paddle/pull/15491"
_PERMUTED = _GIT + "huggingface/transformers/pull/31788"
_SHIFTED = _GIT + "huggingface/transformers/pull/47891"
_BIAS = _GIT + "huggingface/transformers/pull/28948"
_LAYERS = _GIT + "AUTOMATIC1111/stable-diffusion-webui/pull/2001"
_DROPOUT = _GIT + "pytorch/pytorch/issues/26338"
_SUMS = _GIT + "pytorch/pytorch/pull/188998"
_SCALED = _GIT + "ndif-team/nnterp/issues/54"
_REFLECTED = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html"
_EMBEDDED = "embeddings> embeddings.dropout >layers.0 >layers.0.attention >layers.0.attention.query"
_CORE = ">layers.1.attention.dense layers.1.attention.dense>"
_CORES = " ".join(f">layers.{layer}.self_attn.o_proj" for layer in range(3)) + " >layers.0"
_WORDS, _QUERY = "embeddings.word_embeddings", "layers.1.attention.query"
_ENTERED = ">layers.1.attention >layers.1.attention.query >layers.1.attention_norm"
_GATED = "layers.1.mlp.act >layers.1.mlp.down_proj"
_ATTENDED = ">layers.1.post_attention_layernorm layers.1>"
_NORMED = "layers.1.input_layernorm"
_NEXT = ">layers.2 >layers.2.attention >layers.2.attention.query >layers.2.input_layernorm"
# fault, cause, places, source
_BERT = (
    ("fc1_scaled", "weight-scaled", "layers.1.mlp.fc1", _GIT + "mlc-ai/mlc-llm/pull/3426"),
    ("fc2_bias_not_loaded", "bias-unrelated", "layers.1.mlp.fc2", _BIAS),
    ("biases_swapped", "bias-swapped", f"{_QUERY} layers.1.attention.key", _BIAS),
    ("query_heads_swapped", "weight-rows", _QUERY, _PERMUTED),
    ("words_shifted", "weight-rows", _WORDS, _SHIFTED),
    ("words_permuted", "weight-rows", _WORDS, _SHIFTED),
    ("words_not_loaded", "weight-unrelated", _WORDS, _GIT + "tinygrad/tinygrad/pull/13796"),
    ("words_scaled_inside", "weight-scaled", _WORDS, _GIT + "THUNLP-MT/THUMT/issues/42"),
    ("slopes_added", "attention-slopes", _CORE, _SLOPES),
    ("fused_by_heads", "attention-packing", _CORE, _GIT + "NVIDIA/apex/issues/1131"),
    ("dropout_left_on", "dropout-on", _EMBEDDED, _DROPOUT),
    ("branch_dropout_left_on", "dropout-on", ">layers.1.attention_norm", _DROPOUT),
    ("operands_in_bfloat16", "attention-precision", _CORE, _SUMS),
    ("weights_dropout_left_on", "attention-dropout", _CORE, _DROPOUT),
    ("residual_scaled", "term-scaled", ">layers.1.attention_norm", _SCALED),
    ("layer_repeated", "layer-calls", _NEXT, _LAYERS),
    ("layer_skipped", "layer-calls", _NEXT, _LAYERS),
    ("fc1_sums_in_bfloat16", "sum-precision", "layers.1.mlp.fc1", _SUMS),
    ("norms_swapped", "weight-swapped", "layers.1.attention_norm", _BIAS),
)
_GPT = (
    ("query_interleaved", "weight-rows", "layers.1.self_attn.q_proj", _PERMUTED),
    ("head_shifted", "weight-rows", "(root)> lm_head", _SHIFTED),
    ("norm_not_loaded", "norm-weight", "layers.1.input_layernorm", _BIAS),
    ("layer_repeated", "layer-calls", _NEXT, _LAYERS),
    ("layer_skipped", "layer-calls", _NEXT, _LAYERS),
)
_CNN = (
    (
        "kernel_not_loaded@0",
        "weight-unrelated",
        "layer.0.conv2",
        _GIT + "gzuidhof/nn-transfer/pull/3",
    ),
    ("conv_reflected", "conv-padding-mode", "layer.1.conv2", _REFLECTED),
    ("kernel_scaled", "weight-scaled", "layer.1.conv2", _GIT + "gzuidhof/nn-transfer/issues/7"),
)
_ONLY = {"norms_swapped": ("torch",), "resized_points": ("paddle",)}
_ALIBI, _RESIZED = ("settings.positions=alibi",), ("settings.resized=bilinear",)


def _row(arch: str, fault: str, *rest: str, overrides: tuple[str, ...] = ()) -> Row:
    frameworks = _ONLY.get(fault, FRAMEWORKS)
    return replace(forward(arch, fault, *rest), overrides=overrides, frameworks=frameworks)


FORWARD: tuple[Row, ...] = (
    *(_row("bert", *each) for each in _BERT),
    *(_row("gpt", *each) for each in _GPT),
    *(_row("cnn", *each) for each in _CNN),
    *(
        _row("gpt", f"alibi_{what}", "attention-slopes", _CORES, _SLOPES, overrides=_ALIBI)
        for what in ("missing", "sign", "steep")
    ),
    *(
        _row("cnn", f"resized_{how}", "resize-mode", ">maxpool", _RESIZE, overrides=_RESIZED)
        for how in ("nearest", "aligned", "cubic", "points")
    ),
)
BENIGN: tuple[Row, ...] = (
    *(replace(row, overrides=_ALIBI) for row in benign("gpt", "alibi alibi_by_key", _SLOPES)),
    *(replace(row, overrides=_RESIZED) for row in benign("cnn", "resized_linear", _RESIZE)),
)
_DOCS = "https://docs.pytorch.org/docs/stable/generated/"
UNKNOWN: tuple[Row, ...] = (
    *unknown(
        "bert", "keys_normalised softmax_off_by_one", _CORE, "https://arxiv.org/abs/2010.04245"
    ),
    *unknown("bert", "noisy", _ENTERED, "https://arxiv.org/abs/2310.05914"),
    *unknown("gpt", "residual_gated", _ATTENDED, "https://arxiv.org/abs/1910.06764"),
    *unknown("gpt", "up_squared", _GATED, "https://arxiv.org/abs/2002.05202"),
    *unknown("gpt", "norm_by_greatest", _NORMED, _DOCS + "torch.nn.RMSNorm.html"),
    *unknown("cnn", "squeezed", "layer.1.relu1 >layer.1.conv2", "https://arxiv.org/abs/1709.01507"),
)
ROWS = (*FORWARD, *UNKNOWN, *BENIGN)
