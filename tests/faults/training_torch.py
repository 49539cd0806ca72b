"""Training parts of the torch sides that no entry of the port file can get wrong."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LRScheduler


def without_head(model: nn.Module, settings: Mapping[str, object]) -> torch.optim.Optimizer:
    """Adam over all parameters but the last layer's."""
    kept = [p for name, p in model.named_parameters() if not name.startswith("fc2")]
    return torch.optim.Adam(kept, lr=0.01)


def coupled(model: nn.Module, settings: Mapping[str, object]) -> torch.optim.Optimizer:
    """Adam with L2 in its gradients instead of AdamW, on the same parameters."""
    named = list(model.named_parameters())
    spared = [p for name, p in named if "norm" in name or "bias" in name]
    decayed = [p for name, p in named if not ("norm" in name or "bias" in name)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": spared}]
    return torch.optim.Adam(groups, lr=0.01)


def clip_within(model: nn.Module, settings: Mapping[str, object]) -> torch.optim.Optimizer:
    """Adam that clips in a hook of its own step."""

    def clip(*_: object) -> None:
        clip_grad_norm_(list(model.parameters()), 0.05)

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizer.register_step_pre_hook(clip)
    return optimizer


def cosine(optimizer: torch.optim.Optimizer, settings: Mapping[str, object]) -> LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=1000)


def cosine_ahead(optimizer: torch.optim.Optimizer, settings: Mapping[str, object]) -> LRScheduler:
    """Stepped before the optimizer's first step."""
    scheduler = cosine(optimizer, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch tells of the very mistake
        scheduler.step()
    return scheduler


def uncorrected(model: nn.Module, settings: Mapping[str, object]) -> torch.optim.Optimizer:
    """Adam without its bias correction, as BERT was trained."""
    return Uncorrected(model.parameters(), lr=0.01)


class Uncorrected(torch.optim.Adam):
    """Takes its step from the moments as they are."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                state["step"] += 1
                state["exp_avg"].lerp_(p.grad, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                step = state["exp_avg"] / (state["exp_avg_sq"].sqrt() + group["eps"])
                p.add_(step, alpha=-group["lr"])


def cross_entropy(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["logits"], batch["labels"])


def undivided(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Twice the loss: what two accumulated batches come to that nobody divides by two."""
    return 2 * cross_entropy(outputs, batch)
