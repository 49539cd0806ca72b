"""The CNN's rows."""

from __future__ import annotations

from functools import partial

from faults import row
from faults.row import Row

_forward = partial(row.forward, "cnn")
_backward = partial(row.backward, "cnn")
_loss = partial(row.wrong_loss, "cnn")
_benign = partial(row.benign, "cnn")
_GIT = "https://github.com/"
_NORM = "layer.1.norm1"
_ACT = "layer.1.relu1 >layer.1.conv2"
_SUM = "layer.1> layer.1.relu2 >layer.1.relu2 >avgpool"

FORWARD: tuple[Row, ...] = (
    _forward(
        "pool_padding_left_out",
        "pool-kind",
        "layer.1.pool",
        _GIT + "PaddlePaddle/Paddle/issues/36920",
    ),
    _forward(
        "same_padding", "conv-padding", "layer.1.conv2", _GIT + "taehoonlee/tensornets/issues/25"
    ),
    _forward(
        "stride_on_first",
        "conv-stride",
        "layer.1.conv1 layer.1.conv2 layer.1.norm1 >layer.1.norm1 layer.1.relu1 >layer.1.conv2",
        _GIT + "FluxML/Metalhead.jl/pull/114",
    ),
    _forward("bn_eps", "norm-eps", "layer.1.norm2", _GIT + "gzuidhof/nn-transfer/pull/3"),
    _forward(
        "bn_batch_statistics", "bn-statistics", _NORM, _GIT + "tensorflow/tensorflow/issues/42605"
    ),
    _forward(
        "bn_affine_ignored", "norm-weight bias-missing", _NORM, _GIT + "apache/mxnet/issues/15717"
    ),
    _forward(
        "bn_variance_as_deviation", "bn-statistics", _NORM, _GIT + "keras-team/keras/issues/15571"
    ),
    _forward("bn_mean_not_loaded", "bn-statistics", _NORM, _GIT + "gzuidhof/nn-transfer/issues/7"),
    _forward(
        "leaky_relu",
        "activation-function",
        _ACT,
        "https://pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html",
    ),
    _forward(
        "relu6",
        "activation-function",
        _ACT,
        "https://pytorch.org/docs/stable/generated/torch.nn.ReLU6.html",
    ),
    _forward(
        "relu_before_add",
        "function-place",
        _SUM,
        "https://docs.pytorch.org/vision/main/models/resnet.html",
    ),
    _forward(
        "no_last_relu",
        "activation-function function-place",
        _SUM,
        "https://docs.pytorch.org/vision/main/models/resnet.html",
    ),
    _forward(
        "channels_shuffled",
        "axis-permuted",
        ">layer.1.conv2",
        _GIT + "megvii-model/ShuffleNet-Series/issues/17",
    ),
    _forward(
        "flattened_channels_last", "axis-permuted", ">fc", _GIT + "gzuidhof/nn-transfer/issues/17"
    ),
    _forward(
        "max_pooled_head",
        "pool-kind",
        "avgpool >fc",
        "https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html",
    ),
    _forward("bgr", "axis-permuted", ">conv1", _GIT + "amdegroot/ssd.pytorch/issues/44"),
    _forward(
        "maxpool_shifted",
        "conv-padding",
        "maxpool >layer.0 >layer.0.conv1",
        _GIT + "vtjeng/MIPVerify.jl/pull/23",
    ),
    _forward(
        "kernel_flipped",
        "weight-flipped",
        "layer.1.conv2",
        "https://github.com/keras-team/keras/wiki/Converting-convolution-kernels-from-Theano-to-TensorFlow-and-vice-versa",
    ),
    _forward(
        "kernel_transposed",
        "weight-transposed",
        "layer.1.conv2",
        _GIT + "conanhujinming/matcaffe2caffe/issues/2",
    ),
    _forward(
        "kernel_through_bfloat16",
        "weight-rounded",
        "layer.1.conv2",
        _GIT + "ggml-org/llama.cpp/issues/22565",
    ),
)
BACKWARD: tuple[Row, ...] = (
    _backward(
        "shortcut_detached",
        "gradient-missing gradient-cut",
        "~layer.0> ~layer.0.relu2> ~layer.1.pool ~layer.1.pool> ~layer.1.shortcut",
        _GIT + "pytorch/pytorch/issues/33962",
    ),
    _backward(
        "relu_straight_through",
        "backward-function",
        "~layer.1.relu1 ~layer.1.norm1>",
        _GIT + "pytorch/pytorch/pull/37266",
    ),
    _backward(
        "bn_frozen",
        "parameter-frozen",
        f"~{_NORM} ={_NORM}.weight",
        _GIT + "huggingface/transformers/pull/18597",
    ),
    _backward(
        "bn_momentum",
        "batch-norm-statistics",
        f"={_NORM}.running_mean ={_NORM}.running_var",
        _GIT + "huggingface/transformers/pull/19454",
        overrides=("mode=train",),
        frameworks=("torch",),
    ),
    _loss(
        "smoothed",
        "loss-smoothing",
        "https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
    ),
)
UNKNOWN: tuple[Row, ...] = (
    *row.unknown("cnn", "snake", _ACT, "https://arxiv.org/abs/2006.08195"),
    *row.unknown("cnn", "kernel_standardised", "layer.1.conv2", "https://arxiv.org/abs/1903.10520"),
    *row.unknown(
        "cnn",
        "instance_norm",
        _NORM,
        "https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html",
    ),
    *row.unknown("cnn", "blurred", ">conv1", "https://arxiv.org/abs/1904.11486"),
)
BENIGN: tuple[Row, ...] = (
    *_benign("conv_by_unfold", "https://pytorch.org/docs/stable/generated/torch.nn.Unfold.html"),
    *_benign(
        "channels_last",
        "https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html",
        frameworks=("torch",),
    ),
    *_benign("folded_norm bn_by_hand", _GIT + "TransformerLensOrg/TransformerLens/issues/693"),
    *_benign(
        "grouped_by_split pool_by_conv pooled_by_mean",
        "https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html",
    ),
    *_benign(
        "relu_by_clamp residual_swapped",
        "https://pytorch.org/docs/stable/generated/torch.clamp.html",
    ),
)
ROWS = (*FORWARD, *BACKWARD, *UNKNOWN, *BENIGN)
