"""Hang forward hooks on every paddle layer; what they see goes to `frameworks.watching.Doorkeeper`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import paddle

from portalign.frameworks.base import Sink
from portalign.frameworks.paddlepaddle.modules import known_type
from portalign.frameworks.watching import Doorkeeper, LeafFinder


@contextmanager
def watch(
    model: paddle.nn.Layer, sink: Sink, find_leaves: LeafFinder, *, gradients: bool
) -> Iterator[None]:
    """Send inputs and outputs (and output gradients) of every layer to the sink while open."""
    keeper = Doorkeeper(sink, find_leaves, _wants_gradient if gradients else None)
    with ExitStack() as hooks:
        for path, layer in model.named_sublayers(include_self=True):
            door = {"keeper": keeper, "path": path, "module_type": known_type(layer)}
            before = layer.register_forward_pre_hook(partial(_enter, **door), with_kwargs=True)
            hooks.callback(before.remove)
            after = layer.register_forward_post_hook(partial(_leave, **door))
            hooks.callback(after.remove)
        yield


def _wants_gradient(tensor: paddle.Tensor) -> bool:
    return not tensor.stop_gradient


def _enter(
    _layer: paddle.nn.Layer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    keeper: Doorkeeper,
    path: str,
    module_type: str,
) -> None:
    keeper.enter(path, module_type, args, kwargs)


def _leave(
    _layer: paddle.nn.Layer,
    _args: tuple[Any, ...],
    output: Any,
    *,
    keeper: Doorkeeper,
    path: str,
    module_type: str,
) -> None:
    keeper.leave(path, module_type, output)
