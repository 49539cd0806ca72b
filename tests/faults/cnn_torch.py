"""The CNN again in torch, with every fault and rewrite it can be asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_parts import bfloat16_values

from planted import Asked, Planted

STEM, WIDE, GROUPS, CLASSES = 16, 32, 4, 5


def build(settings: Mapping[str, object]) -> nn.Module:
    model = ResNet(Planted(settings))
    if model.on("channels_last"):
        model = model.to(memory_format=torch.channels_last)
    return model.to(getattr(torch, str(settings.get("dtype", "float32")))).eval()


class ResNet(nn.Module):
    def __init__(self, planted: Planted) -> None:
        super().__init__()
        self.on = planted.at()
        self.conv1 = OwnConv(3, STEM, 3, planted.at(-1), padding=1)
        self.bn1 = OwnNorm(STEM, planted.at(-1))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layers = nn.ModuleList(
            [Block(STEM, STEM, 1, planted.at(0)), Block(STEM, WIDE, 2, planted.at(1))]
        )
        self.fc = nn.Linear(WIDE * 4, CLASSES)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        on = self.on
        image = image.to(self.conv1.weight.dtype)
        if on("blurred"):
            image = F.avg_pool2d(image, 3, stride=1, padding=1)
        if on("bgr"):
            image = image.flip(1)
        if on("channels_last"):
            image = image.contiguous(memory_format=torch.channels_last)
        x = resized(F.relu(self.bn1(self.conv1(image))), on)
        if on("maxpool_shifted"):
            x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, stride=2)
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
            return x.unflatten(3, (2, -1)).unflatten(2, (2, -1)).mean((3, 5)).flatten(1)
        x = F.avg_pool2d(x, 2)
        return x.permute(0, 2, 3, 1).flatten(1) if on("flattened_channels_last") else x.flatten(1)


class Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, on: Asked) -> None:
        super().__init__()
        self.on = on
        first, second = (stride, 1) if on("stride_on_first") else (1, stride)
        self.conv1 = OwnConv(n_in, n_out, 3, on, stride=first, padding=1)
        self.bn1 = OwnNorm(n_out, on)
        self.conv2 = OwnConv(n_out, n_out, 3, on, stride=second, padding=1, groups=GROUPS)
        self.bn2 = nn.BatchNorm2d(n_out, eps=1e-3 if on("bn_eps") else 1e-5)
        counts = not on("pool_padding_left_out")
        pool = nn.AvgPool2d(4, 2, padding=1, count_include_pad=counts)
        self.avgpool = pool if stride > 1 else nn.Identity()
        self.downsample = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        on = self.on
        inner = self.activate(self.first(x))
        if on("squeezed"):
            inner = inner * torch.sigmoid(inner.mean((2, 3), keepdim=True))
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
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * gain
        return F.conv2d(x, self.conv1.weight * gain[:, None, None, None], bias, padding=1)

    def activate(self, x: Tensor) -> Tensor:
        on = self.on
        if on("leaky_relu"):
            return F.leaky_relu(x, 0.01)
        if on("snake"):
            return x + torch.sin(3 * x) ** 2 / 3
        if on("relu6"):
            return x.clamp(0.0, 1.0)
        if on("relu_straight_through"):
            return x + (F.relu(x) - x).detach()
        return x.clamp_min(0.0) if on("relu_by_clamp") else F.relu(x)

    def pool(self, x: Tensor) -> Tensor:
        if not self.on("pool_by_conv"):
            return self.avgpool(x)
        n = x.shape[1]
        kernel = torch.full((n, 1, 4, 4), 1 / 16, dtype=x.dtype)
        return F.conv2d(x, kernel, stride=2, padding=1, groups=n)


class OwnConv(nn.Conv2d):
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
        super().__init__(n_in, n_out, size, stride, padding, groups=groups, bias=False)
        self.on, self.is_grouped = on, groups > 1

    def forward(self, x: Tensor) -> Tensor:
        on, weight, stride = self.on, self.weight, self.stride[0]
        if self.is_grouped:
            if on("kernel_flipped"):
                weight = weight.flip(2, 3)
            if on("kernel_transposed"):
                weight = weight.mT
            if on("kernel_not_loaded"):
                random = torch.Generator().manual_seed(5)
                weight = torch.randn(weight.shape, generator=random).to(weight.dtype) / 8
            if on("kernel_scaled"):
                weight = 1.25 * weight
            if on("kernel_standardised"):
                weight = weight - weight.mean((1, 2, 3), keepdim=True)
                weight = weight / weight.std((1, 2, 3), keepdim=True)
            if on("kernel_through_bfloat16"):
                weight = bfloat16_values(weight)
            if on("conv_reflected"):
                x = F.pad(x, (1, 1, 1, 1), mode="reflect")
                return F.conv2d(x, weight, stride=stride, groups=self.groups)
            if on("same_padding") and stride > 1:
                return F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=stride, groups=self.groups)
            if on("grouped_by_split"):
                parts = zip(x.chunk(GROUPS, 1), weight.chunk(GROUPS, 0), strict=True)
                return torch.cat([F.conv2d(a, b, None, stride, 1) for a, b in parts], dim=1)
        elif on("conv_by_unfold"):
            columns = F.unfold(x, 3, padding=1, stride=stride)
            y = weight.flatten(1) @ columns  # [batch, out, places]
            return y.unflatten(2, (x.shape[2] // stride, -1))
        return F.conv2d(x, weight, None, stride, 1, groups=self.groups)


class OwnNorm(nn.BatchNorm2d):
    """A batch norm with its statistics or its affine part misused, or written anew."""

    def __init__(self, width: int, on: Asked) -> None:
        super().__init__(width, momentum=0.9 if on("bn_momentum") else 0.1)
        self.on = on
        if on("bn_frozen"):
            self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        on, mean, variance = self.on, self.running_mean, self.running_var
        if on("bn_batch_statistics"):
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        if on("instance_norm"):
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        if on("bn_affine_ignored"):
            return F.batch_norm(x, mean, variance, eps=self.eps)
        if on("bn_variance_as_deviation"):
            return F.batch_norm(x, mean, variance * variance, self.weight, self.bias, eps=self.eps)
        if on("bn_mean_not_loaded"):
            mean = torch.zeros_like(mean)
        if on("bn_by_hand"):
            gain = self.weight * torch.rsqrt(variance + self.eps)
            return x * gain[:, None, None] + (self.bias - mean * gain)[:, None, None]
        if on("bn_mean_not_loaded"):
            return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def resized(x: Tensor, on: Asked) -> Tensor:
    modes = {
        "resized_linear": {"mode": "bilinear"},
        "resized_nearest": {"mode": "nearest"},
        "resized_aligned": {"mode": "bilinear", "align_corners": True},
        "resized_cubic": {"mode": "bicubic"},
    }
    asked = [mode for name, mode in modes.items() if on(name)]
    return F.interpolate(x, size=(15, 15), **asked[0]) if asked else x


def shuffled(x: Tensor) -> Tensor:
    """Channels in group-minor order, as another library's grouped convolution counts them."""
    return x.unflatten(1, (GROUPS, -1)).transpose(1, 2).flatten(1, 2)
