"""The encoder's rows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from faults import row
from faults.row import UNEXPLAINED, Row

_forward = partial(row.forward, "bert")
_backward = partial(row.backward, "bert")
_loss = partial(row.wrong_loss, "bert")
_benign = partial(row.benign, "bert")
_GIT = "https://github.com/"
_TORCH_DOCS = "https://pytorch.org/docs/stable/generated/"

_AT = "layers.1.attention"
_CORE = f">{_AT}.dense {_AT}.dense>"
_CORES = " ".join(f">layers.{layer}.attention.dense" for layer in range(3))
_EMBEDDED = ">layers.0 >layers.0.attention >layers.0.attention.query embeddings>"
_MASK = f">layers.0 >layers.0.attention {_CORES}"
_ACT = "layers.1.mlp.act >layers.1.mlp.fc2"

FORWARD: tuple[Row, ...] = (
    _forward("gelu_tanh", "activation-function", _ACT, _GIT + "goodfire-ai/spd/issues/624"),
    _forward(
        "gelu_quick",
        "activation-function",
        _ACT,
        _GIT + "huggingface/text-embeddings-inference/pull/753",
    ),
    _forward(
        "relu_for_gelu",
        "activation-function",
        _ACT,
        _TORCH_DOCS + "torch.nn.TransformerEncoderLayer.html",
    ),
    _forward(
        "norm_eps", "norm-eps", "layers.1.attention_norm", _GIT + "mindspore-lab/mindone/pull/219"
    ),
    _forward(
        "norm_without_mean",
        "norm-kind",
        "layers.1.attention_norm",
        _TORCH_DOCS + "torch.nn.RMSNorm.html",
    ),
    _forward(
        "norm_unbiased",
        "norm-variance norm-eps-place",
        "layers.1.attention_norm",
        _GIT + "pytorch/pytorch/issues/81090",
    ),
    _forward("no_scale", "attention-scale", _CORE, _GIT + "mlc-ai/mlc-llm/pull/3426"),
    _forward(
        "scale_by_full_width",
        "attention-scale",
        _CORE,
        _GIT + "Graylab/DL4Proteins-notebooks/issues/12",
    ),
    _forward(
        "softmax_over_queries", "attention-softmax", _CORE, _GIT + "PetrochukM/PyTorch-NLP/issues/2"
    ),
    _forward(
        "heads_not_transposed", "attention-merge", _CORE, _GIT + "OpenNMT/OpenNMT-py/issues/61"
    ),
    _forward(
        "query_key_swapped",
        "attention-operands",
        _CORE,
        _GIT + "huggingface/transformers/issues/25199",
    ),
    _forward(
        "scores_in_bfloat16",
        "attention-precision",
        _CORE,
        _GIT + "huggingface/transformers/pull/29285",
    ),
    _forward(
        "mask_ignored", "attention-mask", _MASK, _GIT + "explosion/spacy-transformers/pull/136"
    ),
    _forward(
        "mask_inverted",
        "mask-changed attention-mask",
        _MASK,
        _GIT + "huggingface/transformers/pull/38094",
    ),
    _forward("mask_too_small", "mask-changed", _MASK, _GIT + "hyunwoongko/transformer/pull/40"),
    _forward(
        "pre_norm",
        "term-replaced term-missing",
        ">layers.1.attention >layers.1.attention.query >layers.1.attention_norm "
        ">layers.1.mlp.fc1 >layers.1.ffn_norm",
        _GIT + "NVIDIA-NeMo/Speech/pull/4350",
    ),
    _forward(
        "residual_after_norm",
        "term-replaced term-missing",
        ">layers.1.attention_norm >layers.1.mlp.fc1 >layers.1.ffn_norm",
        _GIT + "mashrurmorshed/Torch-KWT/issues/13",
    ),
    _forward(
        "positions_offset",
        "ids-changed",
        ">embeddings.position_embeddings",
        _GIT + "huggingface/transformers/issues/5285",
    ),
    _forward(
        "types_ignored",
        "ids-changed",
        ">embeddings.token_type_embeddings",
        _GIT + "huggingface/transformers/issues/2506",
    ),
    _forward("words_scaled", "term-scaled", ">embeddings.norm", _GIT + "THUNLP-MT/THUMT/issues/42"),
    _forward(
        "no_embedding_norm",
        "term-replaced",
        f"{_EMBEDDED} >embeddings.norm >embeddings.dropout",
        _GIT + "PaddlePaddle/PaddleNLP/issues/1901",
    ),
    _forward(
        "dropout_scaled_in_eval",
        "term-scaled",
        f"{_EMBEDDED} embeddings.dropout",
        _GIT + "PaddlePaddle/Paddle/issues/22988",
    ),
    _forward(
        "last_token_pooled",
        "pooled-places",
        ">pooler",
        _GIT + "StarlightSearch/EmbedAnything/issues/213",
    ),
    _forward(
        "mean_pooled",
        "pooled-places",
        ">pooler",
        _GIT + "huggingface/sentence-transformers/issues/230",
    ),
    _forward(
        "no_pooler_tanh",
        "activation-function",
        "pooler_act >classifier",
        "https://huggingface.co/docs/transformers/model_doc/bert",
    ),
    _forward(
        "query_transposed",
        "weight-transposed",
        f"{_AT}.query",
        _GIT + "PaddlePaddle/PaddleMIX/issues/239",
    ),
    _forward(
        "out_transposed", "weight-transposed", f"{_AT}.dense", _GIT + "PaddlePaddle/docs/pull/5945"
    ),
    _forward("value_bias_zero", "bias-missing", f"{_AT}.value", _GIT + "vec2text/vec2text/pull/94"),
    _forward(
        "fc2_not_loaded",
        "weight-unrelated",
        "layers.1.mlp.fc2",
        _GIT + "tinygrad/tinygrad/pull/13796",
    ),
    _forward(
        "fc1_through_bfloat16",
        "weight-rounded",
        "layers.1.mlp.fc1",
        _GIT + "Blaizzy/mlx-vlm/issues/2053",
    ),
)
BACKWARD: tuple[Row, ...] = (
    _backward(
        "residual_detached",
        "gradient-missing",
        "~layers.0> ~layers.0.ffn_norm>",
        _GIT + "pytorch/pytorch/pull/37266",
    ),
    _backward(
        "weights_detached",
        "gradient-cut",
        f"~{_AT}.query> ~{_AT}.key>",
        "https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/Tensor_en.html",
    ),
    _backward(
        "straight_through",
        "backward-function",
        "~layers.1.mlp.act ~layers.1.mlp.fc1>",
        _GIT + "open-lm-engine/accelerated-model-architectures/pull/249",
    ),
    _backward(
        "fc2_gradient_halved",
        "gradient-scaled",
        "~layers.1.mlp.fc2 ~layers.1.mlp.act ~layers.1.mlp.act>",
        _GIT + "ar4/deepwave/issues/120",
    ),
    _backward(
        "padding_idx",
        "gradient-rows",
        "~embeddings.word_embeddings",
        _GIT + "ibalazevic/TuckER/issues/17",
    ),
    _backward(
        "query_frozen",
        "parameter-frozen",
        f"~{_AT}.query ={_AT}.query.weight",
        _GIT + "ooples/AiDotNet.Tensors/pull/643",
    ),
    _loss("summed", "loss-reduction", _GIT + "PaddlePaddle/Paddle/issues/23708"),
    _loss("smoothed", "loss-smoothing", _TORCH_DOCS + "torch.nn.CrossEntropyLoss.html"),
    _loss("softmax_twice", "loss-softmax", _TORCH_DOCS + "torch.nn.CrossEntropyLoss.html"),
)
_TRANSFORMERS = "https://huggingface.co/docs/transformers/model_doc/"
UNKNOWN: tuple[Row, ...] = (
    *row.unknown("bert", "scores_clipped", _CORE, _TRANSFORMERS + "dbrx"),
    *row.unknown(
        "bert",
        "norm_by_deviation",
        "layers.1.attention_norm",
        _TORCH_DOCS + "torch.nn.LayerNorm.html",
    ),
    *row.unknown(
        "bert",
        "tokens_shifted",
        ">layers.1.attention >layers.1.attention.query >layers.1.attention_norm",
        _TRANSFORMERS + "rwkv",
    ),
    *row.unknown(
        "bert",
        "gradient_clamped",
        "~layers.1.mlp.act ~layers.1.mlp.fc1>",
        "https://pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html",
        step="backward",
    ),
    replace(
        _loss("focal", UNEXPLAINED, _TORCH_DOCS + "torch.nn.CrossEntropyLoss.html"),
        frameworks=("torch",),
    ),
)
BENIGN: tuple[Row, ...] = (
    *_benign("sdpa chunked_attention", _GIT + "pytorch/pytorch/pull/114083"),
    *_benign("einsum scaled_query", _GIT + "huggingface/transformers/pull/22444"),
    *_benign("split_matmul addmm", _GIT + "PaddlePaddle/Paddle/pull/58455"),
    *_benign("norm_one_pass norm_affine_folded", _TORCH_DOCS + "torch.nn.LayerNorm.html"),
    *_benign("softmax_by_exp softmax_by_log", _TORCH_DOCS + "torch.nn.functional.softmax.html"),
    *_benign("gelu_by_erf", _GIT + "AlexanderLutsenko/nobuco/pull/9"),
    *_benign("mask_infinite mask_minus_1e9", _GIT + "pytorch/pytorch/issues/103749"),
    *_benign("residual_swapped positions_cumsum fused_qkv", _GIT + "pytorch/pytorch/issues/168974"),
    *_benign("checkpoint", "https://pytorch.org/docs/stable/checkpoint.html", step="backward"),
    row.benign_loss("bert", "by_log_softmax", _TORCH_DOCS + "torch.nn.CrossEntropyLoss.html"),
    Row(
        "bert", "adam_in_a_loop", "none", "backward", frozenset(),
        "https://pytorch.org/docs/stable/generated/torch.optim.Adam.html",
        ("optimizer={name: adam, lr: 0.01, candidate: optimizers.py:looped_adam}",), ("torch",),
    ),
)  # fmt: skip
ROWS = (*FORWARD, *BACKWARD, *UNKNOWN, *BENIGN)
