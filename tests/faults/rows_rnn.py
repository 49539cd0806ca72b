"""The recurrent classifier's rows."""

from __future__ import annotations

from functools import partial

from faults import row
from faults.row import Row

_forward = partial(row.forward, "rnn")
_backward = partial(row.backward, "rnn")
_loss = partial(row.wrong_loss, "rnn")
_benign = partial(row.benign, "rnn")
_GIT = "https://github.com/"

FORWARD: tuple[Row, ...] = (
    _forward("gate_order", "lstm", _GIT + "CrispStrobe/CrispASR/pull/106"),
    _forward("forget_bias", "lstm", _GIT + "tensorflow/tensorflow/issues/29622"),
    _forward("hard_gates", "lstm", _GIT + "keras-team/keras/issues/3701"),
    _forward("no_cell_tanh", "lstm", _GIT + "ooples/AiDotNet.Tensors/pull/907"),
    _forward("hidden_bias_dropped", "lstm", _GIT + "apple/coremltools/issues/1124"),
    _forward("hidden_transposed", "lstm", _GIT + "keras-team/keras/issues/8720"),
    _forward("hidden_through_bfloat16", "lstm", _GIT + "okoge-kaz/llm-recipes/pull/6"),
    _forward("directions_swapped", "lstm", _GIT + "onnx/tensorflow-onnx/pull/213"),
    _forward("backward_not_reversed", "lstm", _GIT + "onnx/keras-onnx/issues/523"),
    _forward("directions_concat_swapped", ">gru", _GIT + "pytorch/pytorch/pull/11368"),
    _forward("state_not_passed", ">gru", _GIT + "onnx/onnx-tensorflow/issues/409"),
    _forward("forward_state_only", ">gru", _GIT + "OpenNMT/OpenNMT-py/issues/61"),
    _forward("reset_before_matmul", "gru", _GIT + "tracel-ai/burn/pull/2704"),
    _forward("update_inverted", "gru", _GIT + "pytorch/pytorch/issues/8153"),
    _forward("padding_row_zero", "embedding >lstm", _GIT + "PaddlePaddle/Paddle/issues/62301"),
    _forward("mean_counts_padding", ">fc1", _GIT + "HKUDS/LightRAG/pull/3675"),
    _forward("last_step_padded", ">fc1", _GIT + "keitakurita/practical-torchtext/issues/5"),
    _forward("features_swapped", ">fc1", _GIT + "yunjey/pytorch-tutorial/pull/174"),
    _forward("first_bias_zero", "fc1", _GIT + "vec2text/vec2text/pull/94"),
)
BACKWARD: tuple[Row, ...] = (
    _backward("truncated_backward", "~lstm", _GIT + "tensorflow/tensorflow/issues/140"),
    _backward("state_detached", "~gru ~lstm>", _GIT + "tensorflow/tensorflow/issues/140"),
    _backward("start_detached", "~lstm>", _GIT + "IBM/pytorch-seq2seq/issues/159"),
    _backward("first_frozen", "~fc1 =fc1.weight", _GIT + "ooples/AiDotNet.Tensors/pull/643"),
    _loss("summed", _GIT + "PaddlePaddle/Paddle/issues/23708"),
)
BENIGN: tuple[Row, ...] = (
    *_benign(
        "lstm_unrolled gru_unrolled",
        "https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html",
        step="backward",
    ),
    *_benign(
        "embedding_by_one_hot mean_by_matmul",
        "https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html",
    ),
)
ROWS = (*FORWARD, *BACKWARD, *BENIGN)
