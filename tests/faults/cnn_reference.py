"""The reference CNN: batch norm, residual blocks with a grouped convolution, average pooling with
padding."""

from __future__ import annotations

from collections.abc import Mapping

from seeded import seeded
from torch import Tensor, nn
from torch.nn.functional import interpolate

STEM, WIDE, GROUPS, CLASSES = 16, 32, 4, 5


def build(settings: Mapping[str, object]) -> nn.Module:
    return seeded(Cnn(str(settings.get("resized", ""))), settings, seed=3)


class Cnn(nn.Module):
    """With `resized`, a mode of interpolation, the first features are resized."""

    def __init__(self, resized: str) -> None:
        super().__init__()
        self.resized = resized
        self.conv1 = nn.Conv2d(3, STEM, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer = nn.ModuleList([Block(STEM, STEM, 1), Block(STEM, WIDE, 2)])
        self.avgpool = nn.AvgPool2d(2)
        self.fc = nn.Linear(WIDE * 4, CLASSES)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = image.to(self.conv1.weight.dtype)
        x = self.relu(self.norm1(self.conv1(x)))
        if self.resized:
            x = interpolate(x, size=(15, 15), mode=self.resized)
        x = self.maxpool(x)
        for block in self.layer:
            x = block(x)
        return {"logits": self.fc(self.avgpool(x).flatten(1))}


class Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, stride, padding=1, groups=GROUPS, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        # The padding counts. 16 places: paddle 3.3.1 divides gradients by a float32
        # number of places.
        self.pool = nn.AvgPool2d(4, stride, padding=1) if stride > 1 else nn.Identity()
        self.shortcut = nn.Conv2d(n_in, n_out, 1, bias=True)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu1(self.norm1(self.conv1(x)))
        inner = self.norm2(self.conv2(inner))
        return self.relu2(inner + self.shortcut(self.pool(x)))
