"""Look at gradients where an optimizer's own code is done with them: right before torch's step.

A porter's optimizer may clip within its step: in a hook, or in a subclass that then calls torch's.
Twin of what `paddlepaddle.training` does with the clip objects that paddle's optimizers hold.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_OF_TORCH = "torch.optim"


@contextmanager
def seen_by_step(optimizer: torch.optim.Optimizer, see: Callable[[], None]) -> Iterator[bool]:
    """While open, `see` is called within the optimizer's step, once what comes before torch's own
    arithmetic is done.

    Yields:
        False where `see` is for the caller to call: nothing comes before, or that can't be had,
        for the arithmetic is all the porter's own.
    """
    if not has_own_step(optimizer):
        yield False
        return
    defining = _defining(optimizer)
    if _is_of_torch(defining):
        handle = optimizer.register_step_pre_hook(lambda *_: see())  # the last one, so far
        try:
            yield True
        finally:
            handle.remove()
        return
    base: Any = next((c for c in defining.__mro__ if _is_of_torch(c) and "step" in vars(c)), None)
    if base is None or not _calls_super(type(optimizer)):
        yield False
        return
    own = base.step

    def step(self: torch.optim.Optimizer, *arguments: Any, **named: Any) -> Any:
        if self is optimizer:
            see()
        return own(self, *arguments, **named)

    base.step = step
    try:
        yield True
    finally:
        base.step = own


def has_own_step(optimizer: torch.optim.Optimizer) -> bool:
    """Code that isn't torch's runs within the step, and may change gradients."""
    return not _is_of_torch(_defining(optimizer)) or bool(optimizer._optimizer_step_pre_hooks)


def _defining(optimizer: torch.optim.Optimizer) -> type:
    """The class whose step it is: torch's AdamW has Adam's."""
    return next(c for c in type(optimizer).__mro__ if "step" in vars(c))


def _is_of_torch(kind: type) -> bool:
    return kind.__module__.startswith(_OF_TORCH)


def _calls_super(kind: type) -> bool:
    """Every step that a subclass has of its own calls the one it overrides."""
    for each in kind.__mro__:
        step = vars(each).get("step")
        if step is not None and _is_of_torch(each):
            return True
        if step is not None:
            code = getattr(inspect.unwrap(step), "__code__", None)
            if code is None or not {"super", "step"} <= set(code.co_names):
                return False
    return False
