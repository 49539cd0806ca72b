"""The CNN ported to Paddle, with every fault and rewrite it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle_parts import bfloat16_values

from planted import Asked, Planted

STEM, WIDE, GROUPS, CLASSES = 16, 32, 4, 5


def build(settings: Mapping[str, object]) -> nn.Layer:
    model = ResNet(Planted(settings))
    model.eval()
    return model


class ResNet(nn.Layer):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        self.conv1 = OwnConv(3, STEM, 3, planted.at(-1), padding=1)
        self.bn1 = OwnNorm(STEM, planted.at(-1))
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2D(3, stride=2, padding=1)
        self.layers = nn.LayerList(
            [Block(STEM, STEM, 1, planted.at(0)), Block(STEM, WIDE, 2, planted.at(1))]
        )
        self.avgpool = nn.AvgPool2D(2)
        self.fc = nn.Linear(WIDE * 4, CLASSES)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        on = self.on
        if on("bgr"):
            image = image.flip(1)
        x = resized(self.relu(self.bn1(self.conv1(image))), on)
        if on("maxpool_shifted"):
            x = F.max_pool2d(F.pad(x, [0, 1, 0, 1]), 3, stride=2)
        else:
            x = self.maxpool(x)
        for block in self.layers:
            x = block(x)
        return {"logits": self.fc(self.pooled(x))}

    def pooled(self, x: Tensor) -> Tensor:
        on = self.on
        if on("max_pooled_head"):
            return F.max_pool2d(x, 2).flatten(1)
        if on("pooled_by_mean"):
            return x.reshape([x.shape[0], x.shape[1], 2, 2, 2, 2]).mean([3, 5]).flatten(1)
        x = self.avgpool(x)
        if on("flattened_channels_last"):
            x = x.transpose([0, 2, 3, 1])
        return x.flatten(1)


class Block(nn.Layer):
    def __init__(self, n_in: int, n_out: int, stride: int, on: Asked) -> None:
        super().__init__()
        self.on = on
        first, second = (stride, 1) if on("stride_on_first") else (1, stride)
        self.conv1 = OwnConv(n_in, n_out, 3, on, stride=first, padding=1)
        self.bn1 = OwnNorm(n_out, on)
        self.conv2 = OwnConv(n_out, n_out, 3, on, stride=second, padding=1, groups=GROUPS)
        self.bn2 = nn.BatchNorm2D(n_out, epsilon=1e-3 if on("bn_eps") else 1e-5)
        left_out = on("pool_padding_left_out")  # what paddle does unless told otherwise
        pool = nn.AvgPool2D(4, 2, padding=1, exclusive=left_out)
        self.avgpool = pool if stride > 1 else nn.Identity()
        self.downsample = nn.Conv2D(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        inner = self.activate(self.first(x))
        inner = self.bn2(self.conv2(shuffled(inner) if on("channels_shuffled") else inner))
        pooled = self.pool(x)
        if on("shortcut_detached"):
            pooled = pooled.detach()
        short = self.downsample(pooled)
        if on("relu_before_add"):
            return F.relu(inner) + short
        if on("no_last_relu"):
            return inner + short
        return F.relu(short + inner if on("residual_swapped") else inner + short)

    def first(self, x: Tensor) -> Tensor:
        if not self.on("folded_norm"):
            return self.bn1(self.conv1(x))
        norm = self.bn1
        gain = norm.weight / paddle.sqrt(norm._variance + 1e-5)
        bias = norm.bias - norm._mean * gain
        return F.conv2d(x, self.conv1.weight * gain.reshape([-1, 1, 1, 1]), bias, padding=1)

    def activate(self, x: Tensor) -> Tensor:
        on = self.on
        if on("leaky_relu"):
            return F.leaky_relu(x, 0.01)
        if on("relu6"):
            return x.clip(0.0, 1.0)
        if on("relu_straight_through"):
            return x + (F.relu(x) - x).detach()
        return paddle.maximum(x, paddle.zeros_like(x)) if on("relu_by_clamp") else F.relu(x)

    def pool(self, x: Tensor) -> Tensor:
        if not self.on("pool_by_conv"):
            return self.avgpool(x)
        n = x.shape[1]
        kernel = paddle.full([n, 1, 4, 4], 1 / 16, dtype=x.dtype)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=n)


class OwnConv(nn.Conv2D):
    """A convolution without bias, misloaded or written anew."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int,
        on: Asked,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__(n_in, n_out, size, stride, padding, groups=groups, bias_attr=False)
        self.on, self.step, self.n_groups = on, stride, groups

    def forward(self, x: Tensor) -> Tensor:
        on, weight, stride = self.on, self.weight, self.step
        if self.n_groups > 1:
            if on("kernel_flipped"):
                weight = weight.flip([2, 3])
            if on("kernel_transposed"):
                weight = weight.transpose([0, 1, 3, 2])
            if on("kernel_not_loaded"):
                values = paddle.cos(paddle.arange(weight.size, dtype=weight.dtype))
                weight = values.reshape(weight.shape) / 8
            if on("kernel_scaled"):
                weight = 1.25 * weight
            if on("kernel_through_bfloat16"):
                weight = bfloat16_values(weight)
            if on("conv_reflected"):
                x = F.pad(x, [1, 1, 1, 1], mode="reflect")
                return F.conv2d(x, weight, stride=stride, groups=self.n_groups)
            if on("same_padding") and stride > 1:
                return F.conv2d(F.pad(x, [0, 1, 0, 1]), weight, stride=stride, groups=self.n_groups)
            if on("grouped_by_split"):
                parts = zip(x.chunk(GROUPS, 1), weight.chunk(GROUPS, 0), strict=True)
                return paddle.concat([F.conv2d(a, b, None, stride, 1) for a, b in parts], axis=1)
        elif on("conv_by_unfold"):
            columns = F.unfold(x, 3, strides=stride, paddings=1)
            y = weight.flatten(1) @ columns  # [batch, out, places]
            return y.reshape([x.shape[0], -1, x.shape[2] // stride, x.shape[3] // stride])
        return F.conv2d(x, weight, None, stride, 1, groups=self.n_groups)


class OwnNorm(nn.BatchNorm2D):
    """A batch norm with its statistics or its affine part misused, or written anew."""

    def __init__(self, width: int, on: Asked) -> None:
        super().__init__(width)
        self.on = on
        if on("bn_frozen"):
            self.weight.stop_gradient = True

    def forward(self, x: Tensor) -> Tensor:
        on, mean, variance = self.on, self._mean, self._variance
        if on("bn_batch_statistics"):
            mean, variance = x.mean([0, 2, 3]), x.var([0, 2, 3], unbiased=False)
            return F.batch_norm(x, mean, variance, self.weight, self.bias)
        if on("bn_affine_ignored"):
            one, zero = paddle.ones_like(self.weight), paddle.zeros_like(self.bias)
            return F.batch_norm(x, mean, variance, one, zero)
        if on("bn_variance_as_deviation"):
            return F.batch_norm(x, mean, variance * variance, self.weight, self.bias)
        if on("bn_mean_not_loaded"):
            return F.batch_norm(x, paddle.zeros_like(mean), variance, self.weight, self.bias)
        if on("bn_by_hand"):
            gain = self.weight * paddle.rsqrt(variance + 1e-5)
            shift = self.bias - mean * gain
            return x * gain.reshape([-1, 1, 1]) + shift.reshape([-1, 1, 1])
        return super().forward(x)


def resized(x: Tensor, on: Asked) -> Tensor:
    modes = {
        "resized_linear": {"mode": "bilinear"},
        "resized_nearest": {"mode": "nearest"},
        "resized_aligned": {"mode": "bilinear", "align_corners": True},
        "resized_cubic": {"mode": "bicubic"},
        "resized_points": {"mode": "bilinear", "align_mode": 1},
    }
    asked = [mode for name, mode in modes.items() if on(name)]
    return F.interpolate(x, size=[15, 15], **asked[0]) if asked else x


def shuffled(x: Tensor) -> Tensor:
    """Channels in group-minor order, as another library's grouped convolution counts them."""
    n, c, h, w = x.shape
    return (
        x.reshape([n, GROUPS, c // GROUPS, h, w]).transpose([0, 2, 1, 3, 4]).reshape([n, c, h, w])
    )
