"""Hang forward hooks on every paddle layer; what they see goes to `frameworks.watching`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import paddle

from portalign.frameworks.base import Replacements, Sink
from portalign.frameworks.paddlepaddle.modules import from_numpy, known_type
from portalign.frameworks.watching import Doorkeeper, Grafter, LeafFinder
from portalign.records import Array


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


@contextmanager
def graft(
    model: paddle.nn.Layer, replacements: Replacements, sink: Sink, *, gradients: bool
) -> Iterator[None]:
    """Send what arrives at every module's door to the sink and let the replacement pass, while
    open.
    """
    wants_gradient = _wants_gradient if gradients else None
    grafter = Grafter(replacements, sink, _is_tensor, _put, wants_gradient)
    with ExitStack() as hooks:
        for path, layer in model.named_sublayers(include_self=True):
            door = {"grafter": grafter, "path": path, "module_type": known_type(layer)}
            before = layer.register_forward_pre_hook(partial(_graft_in, **door), with_kwargs=True)
            hooks.callback(before.remove)
            after = layer.register_forward_post_hook(partial(_graft_out, **door))
            hooks.callback(after.remove)
        yield


def _is_tensor(value: object) -> bool:
    return isinstance(value, paddle.Tensor)


def _put(tensor: paddle.Tensor, array: Array) -> paddle.Tensor:
    """The array's values at the tensor's place in the graph."""
    values = from_numpy(array).astype(tensor.dtype)
    return values if tensor.stop_gradient else tensor + (values - tensor).detach()


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


def _graft_in(
    _layer: paddle.nn.Layer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    grafter: Grafter,
    path: str,
    module_type: str,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return grafter.enter(path, module_type, args, kwargs)


def _graft_out(
    _layer: paddle.nn.Layer,
    _args: tuple[Any, ...],
    output: Any,
    *,
    grafter: Grafter,
    path: str,
    module_type: str,
) -> Any:
    return grafter.leave(path, module_type, output)
