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
    _forward("gate_order", "rnn-gates", "lstm", _GIT + "CrispStrobe/CrispASR/pull/106"),
    _forward("forget_bias", "rnn-forget-bias", "lstm", _GIT + "tensorflow/tensorflow/issues/29622"),
    _forward("hard_gates", "rnn-function", "lstm", _GIT + "keras-team/keras/issues/3701"),
    _forward("no_cell_tanh", "rnn-function", "lstm", _GIT + "ooples/AiDotNet.Tensors/pull/907"),
    _forward("hidden_bias_dropped", "rnn-bias", "lstm", _GIT + "apple/coremltools/issues/1124"),
    _forward("hidden_transposed", "rnn-weight", "lstm", _GIT + "keras-team/keras/issues/8720"),
    _forward(
        "hidden_through_bfloat16",
        "weight-rounded rnn-weight",
        "lstm",
        _GIT + "okoge-kaz/llm-recipes/pull/6",
    ),
    _forward("directions_swapped", "rnn-direction", "lstm", _GIT + "onnx/tensorflow-onnx/pull/213"),
    _forward("backward_not_reversed", "rnn-direction", "lstm", _GIT + "onnx/keras-onnx/issues/523"),
    _forward(
        "directions_concat_swapped", "axis-permuted", ">gru", _GIT + "pytorch/pytorch/pull/11368"
    ),
    _forward(
        "state_not_passed",
        "pooled-places term-missing",
        ">gru",
        _GIT + "onnx/onnx-tensorflow/issues/409",
    ),
    _forward(
        "forward_state_only",
        "pooled-places term-missing",
        ">gru",
        _GIT + "OpenNMT/OpenNMT-py/issues/61",
    ),
    _forward("reset_before_matmul", "gru-variant", "gru", _GIT + "tracel-ai/burn/pull/2704"),
    _forward("update_inverted", "gru-variant", "gru", _GIT + "pytorch/pytorch/issues/8153"),
    _forward(
        "padding_row_zero",
        "padding-row",
        "embedding >lstm",
        _GIT + "PaddlePaddle/Paddle/issues/62301",
    ),
    _forward("mean_counts_padding", "pooled-places", ">fc1", _GIT + "HKUDS/LightRAG/pull/3675"),
    _forward(
        "last_step_padded",
        "pooled-places",
        ">fc1",
        _GIT + "keitakurita/practical-torchtext/issues/5",
    ),
    _forward(
        "features_swapped",
        "pooled-places axis-permuted",
        ">fc1",
        _GIT + "yunjey/pytorch-tutorial/pull/174",
    ),
    _forward("first_bias_zero", "bias-missing", "fc1", _GIT + "vec2text/vec2text/pull/94"),
)
BACKWARD: tuple[Row, ...] = (
    _backward(
        "truncated_backward",
        "gradient-truncated",
        "~lstm",
        _GIT + "tensorflow/tensorflow/issues/140",
    ),
    _backward(
        "state_detached",
        "gradient-truncated",
        "~gru ~lstm>",
        _GIT + "tensorflow/tensorflow/issues/140",
    ),
    _backward(
        "start_detached",
        "gradient-missing gradient-cut",
        "~lstm>",
        _GIT + "IBM/pytorch-seq2seq/issues/159",
    ),
    _backward(
        "first_frozen",
        "parameter-frozen",
        "~fc1 =fc1.weight",
        _GIT + "ooples/AiDotNet.Tensors/pull/643",
    ),
    _loss("summed", "loss-reduction", _GIT + "PaddlePaddle/Paddle/issues/23708"),
)
_CELLS = "https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/rnn_cell/LSTMCell"
UNKNOWN: tuple[Row, ...] = (
    *row.unknown("rnn", "peephole cell_clipped", "lstm", _CELLS),
    *row.unknown("rnn", "zoneout", "gru", "https://arxiv.org/abs/1606.01305"),
    *row.unknown(
        "rnn",
        "median_pooled",
        ">fc1",
        "https://pytorch.org/docs/stable/generated/torch.median.html",
    ),
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
ROWS = (*FORWARD, *BACKWARD, *UNKNOWN, *BENIGN)
