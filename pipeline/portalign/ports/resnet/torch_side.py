"""The reference: ResNet-18 in PyTorch, briefly trained on the digits.

Layers have the names that everyone knows (``conv1``, ``layer1.0.bn1``, ``fc``). The network is
trained on the spot for a few seconds, because an untrained one guesses, and on guesses a wrong
metric can look right. Seed and thread count are fixed, so every build gives the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from portalign.ports.resnet.data import training_part

N_CLASSES = 10
_WIDTHS = (64, 128, 256, 512)
_BATCH_SIZE = 32


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: a strided 1x1 convolution where shapes change."""

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or n_in != n_out:
            shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, n_in, h, w]`` -> ``[batch, n_out, h / stride, w / stride]``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(inner)) + shortcut)
        return out


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2015, table 1), with the channel counts and strides of the original."""

    def __init__(self, n_classes: int = N_CLASSES) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _WIDTHS[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(_WIDTHS[0], _WIDTHS[0], stride=1)
        self.layer2 = _stage(_WIDTHS[0], _WIDTHS[1], stride=2)
        self.layer3 = _stage(_WIDTHS[1], _WIDTHS[2], stride=2)
        self.layer4 = _stage(_WIDTHS[2], _WIDTHS[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(_WIDTHS[3], n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[batch, n_classes]`` of images ``[batch, 3, height, width]``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def build(settings: Mapping[str, object]) -> nn.Module:
    """ResNet-18 after a short training, the same weights at every call.

    Args:
        settings: `training_iterations` (60 if absent; 0: untrained) and `seed` (0).
    """
    n_iterations = int(str(settings.get("training_iterations", 60)))
    with _reproducible(seed=int(str(settings.get("seed", 0)))):
        model = ResNet18()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        _train(model, n_iterations=n_iterations)
    return model.eval()


def _stage(n_in: int, n_out: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(n_in, n_out, stride=stride), BasicBlock(n_out, n_out, stride=1))


def _train(model: nn.Module, *, n_iterations: int) -> None:
    """SGD with momentum and an LR that falls to zero; 60 iterations get 92 % of the test right."""
    if n_iterations == 0:
        return
    images, labels = (torch.from_numpy(part) for part in training_part())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_iterations)
    model.train()
    for _ in range(n_iterations):
        chosen = torch.randint(len(labels), (_BATCH_SIZE,))
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    model.zero_grad()


@contextmanager
def _reproducible(*, seed: int) -> Iterator[None]:
    """Seed torch and use one thread, for sums depend on how they are split; put both back after."""
    n_threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)
