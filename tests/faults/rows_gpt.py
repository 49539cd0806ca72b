"""The decoder's rows."""

from __future__ import annotations

from functools import partial

from faults import row
from faults.row import Row

_forward = partial(row.forward, "gpt")
_backward = partial(row.backward, "gpt")
_loss = partial(row.wrong_loss, "gpt")
_benign = partial(row.benign, "gpt")
_GIT = "https://github.com/"

_AT = "layers.1.self_attn"
_CORE = f">{_AT}.o_proj"
_CORES = " ".join(f">layers.{layer}.self_attn.o_proj" for layer in range(3))
_NORM = "layers.1.input_layernorm"
_ACT = "layers.1.mlp.act >layers.1.mlp.down_proj"

FORWARD: tuple[Row, ...] = (
    _forward("rotary_interleaved", "rotary-style", _CORE, _GIT + "EleutherAI/gpt-neox/issues/834"),
    _forward(
        "rotary_key_late",
        "rotary-places",
        _CORE,
        _GIT + "huggingface/sentence-transformers/pull/3879",
    ),
    _forward("rotary_half_width", "rotary-fraction", _CORE, _GIT + "Tencent/ncnn/issues/6833"),
    _forward(
        "rotary_sign", "rotary-sign", _CORE, _GIT + "raiyanyahya/how-to-train-your-gpt/issues/6"
    ),
    _forward("rotary_missing", "rotary-style", _CORE, _GIT + "tenstorrent/tt-metal/issues/26844"),
    _forward(
        "rotary_base", "rotary-base", f"{_CORES} >layers.0", _GIT + "lyogavin/airllm/pull/369"
    ),
    _forward(
        "rotary_bfloat16_table",
        "rotary-precision",
        f"{_CORES} >layers.0",
        _GIT + "EleutherAI/gpt-neox/issues/1003",
    ),
    _forward("heads_tiled", "attention-groups", _CORE, _GIT + "ekzhang/jax-js/pull/180"),
    _forward(
        "key_value_swapped", "attention-operands", _CORE, _GIT + "sgl-project/sglang-jax/pull/457"
    ),
    _forward("no_scale", "attention-scale", _CORE, _GIT + "ml-explore/mlx-swift-examples/pull/99"),
    _forward(
        "masked_after_softmax", "attention-mask", _CORE, _GIT + "pytorch/pytorch/issues/103749"
    ),
    _forward(
        "scores_in_bfloat16",
        "attention-precision",
        _CORE,
        _GIT + "huggingface/transformers/issues/29496",
    ),
    _forward(
        "causal_missing",
        "attention-mask",
        f"{_CORES} >layers.0",
        _GIT + "rasbt/LLMs-from-scratch/pull/1062",
    ),
    _forward(
        "causal_off_by_one",
        "attention-mask",
        f"{_CORES} >layers.0",
        _GIT + "huggingface/transformers/pull/48363",
    ),
    _forward("norm_eps", "norm-eps", _NORM, _GIT + "mosaicml/llm-foundry/pull/1399"),
    _forward("norm_plus_one", "norm-weight", _NORM, _GIT + "linkedin/Liger-Kernel/issues/74"),
    _forward("layer_norm_for_rms", "norm-kind", _NORM, _GIT + "NeuraLegion/shainet/pull/176"),
    _forward("gelu_for_silu", "activation-function", _ACT, _GIT + "m87-labs/kestrel/pull/162"),
    _forward("sigmoid_for_silu", "activation-function", _ACT, _GIT + "skyzh/tiny-llm/pull/120"),
    _forward(
        "gate_up_swapped",
        "gate-swapped",
        f"{_ACT} >layers.1.mlp.act",
        _GIT + "flashinfer-ai/flashinfer/pull/4130",
    ),
    _forward(
        "no_embedding_scale",
        "term-scaled",
        ">layers.0 >layers.0.input_layernorm",
        _GIT + "apple/axlearn/pull/909",
    ),
    _forward("no_soft_cap", "logits-cap", "(root)>", _GIT + "vllm-project/vllm/pull/52173"),
    _forward(
        "no_final_norm",
        "input-replaced term-replaced",
        "(root)> norm >norm >lm_head",
        _GIT + "ggml-org/llama.cpp/pull/1925",
    ),
    _forward(
        "parallel_residual",
        "term-replaced term-missing",
        ">layers.1.post_attention_layernorm",
        "https://huggingface.co/docs/transformers/model_doc/gpt_neox",
    ),
    _forward(
        "residual_from_norm",
        "term-replaced",
        "layers.1>",
        _GIT + "Howuhh/faster-trajectory-transformer/issues/3",
    ),
    _forward(
        "head_not_tied",
        "weight-unrelated",
        "(root)> lm_head",
        _GIT + "huggingface/transformers/pull/44358",
    ),
    _forward(
        "gate_through_bfloat16",
        "weight-rounded",
        "layers.1.mlp.gate_proj",
        _GIT + "okoge-kaz/llm-recipes/pull/6",
    ),
    _forward(
        "out_transposed",
        "weight-transposed",
        f"{_AT}.o_proj",
        _GIT + "PaddlePaddle/X2Paddle/pull/769",
    ),
    _forward(
        "up_not_loaded",
        "weight-unrelated",
        "layers.1.mlp.up_proj",
        _GIT + "vllm-project/vllm/issues/5621",
    ),
)
BACKWARD: tuple[Row, ...] = (
    _backward(
        "residual_detached", "gradient-missing", "~layers.0>", _GIT + "pytorch/pytorch/issues/33962"
    ),
    _backward(
        "head_tied_by_copy",
        "gradient-missing",
        "~embed_tokens ~lm_head ~(root)>",
        _GIT + "huggingface/transformers/pull/42612",
    ),
    _backward(
        "key_value_detached",
        "gradient-cut",
        f"~{_AT}.k_proj> ~{_AT}.v_proj>",
        _GIT + "OpenBMB/BMTrain/pull/69",
    ),
    _backward(
        "gate_detached",
        "gradient-cut",
        "~layers.1.mlp.act ~layers.1.mlp.act> ~layers.1.mlp.gate_proj>",
        _GIT + "pytorch/pytorch/issues/42212",
    ),
    _backward(
        "down_gradient_halved",
        "gradient-scaled",
        "~layers.1.mlp.down_proj ~layers.1.mlp.act ~layers.1.mlp.act> "
        "~layers.1.mlp.up_proj> ~layers.1.mlp.gate_proj>",
        _GIT + "paiml/entrenar/pull/257",
    ),
    _backward(
        "query_frozen",
        "parameter-frozen",
        f"~{_AT}.q_proj ={_AT}.q_proj.weight",
        _GIT + "ooples/AiDotNet.Tensors/pull/643",
    ),
    _loss("unshifted", "loss-shift", _GIT + "huggingface/transformers/issues/35066"),
    _loss(
        "ignored_counted", "loss-reduction loss-ignored", _GIT + "PaddlePaddle/Paddle/issues/48663"
    ),
    _loss("mean_of_means", "loss-reduction", _GIT + "huggingface/transformers/pull/37830"),
)
_RMS = "https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html"
BENIGN: tuple[Row, ...] = (
    *_benign("rms_by_division silu_by_sigmoid", _RMS),
    *_benign("rms_by_kernel", _RMS, frameworks=("torch",)),
    *_benign("rotary_complex rotary_from_one", _GIT + "lucidrains/RETRO-pytorch/issues/12"),
    *_benign("heads_expanded sdpa", _GIT + "jxiw/M1/issues/4"),
    *_benign("fused_gate_up", _GIT + "pytorch/torchtitan/pull/4535"),
    *_benign(
        "head_in_chunks soft_cap_by_expm1 mask_minus_1e4 residual_swapped",
        _GIT + "unslothai/unsloth-zoo/pull/593",
    ),
    row.benign_loss("gpt", "masked_sum", _GIT + "PaddlePaddle/Paddle/issues/23708"),
)
ROWS = (*FORWARD, *BACKWARD, *BENIGN)
