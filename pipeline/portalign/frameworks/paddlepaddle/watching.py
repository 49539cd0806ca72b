"""Watch and graft paddle models; what happens at a layer's door is `frameworks.watching`."""

from __future__ import annotations

from collections.abc import Iterator

import paddle

from portalign.frameworks.hooks import Door, Hooks
from portalign.frameworks.paddlepaddle.modules import from_numpy, known_type
from portalign.records import Array


def _doors(model: paddle.nn.Layer) -> Iterator[Door]:
    for path, layer in model.named_sublayers(include_self=True):
        yield path, layer, known_type(layer)


def _wants_gradient(tensor: paddle.Tensor) -> bool:
    return not tensor.stop_gradient


def _version(tensor: paddle.Tensor) -> int:
    return tensor.inplace_version


def _is_tensor(value: object) -> bool:
    return isinstance(value, paddle.Tensor)


def _put(tensor: paddle.Tensor, array: Array) -> paddle.Tensor:
    """The array's values at the tensor's place in the graph."""
    values = from_numpy(array).astype(tensor.dtype)
    if tensor.stop_gradient:
        return values
    # paddle 3.3.1 calls a hook on a PyLayer's own output and then ignores the gradient it returns
    return _Put.apply(tensor, (values,)).clone()


class _Put(paddle.autograd.PyLayer):
    """Other values forward, exactly (infinities too); the gradient passes as it comes."""

    @staticmethod
    def forward(_ctx: object, _tensor: paddle.Tensor, box: tuple[paddle.Tensor]) -> paddle.Tensor:
        return box[0].clone()  # in a tuple, so that paddle expects no gradient for it

    @staticmethod
    def backward(_ctx: object, gradient: paddle.Tensor) -> paddle.Tensor:
        return gradient


_HOOKS = Hooks(
    doors=_doors,
    before="register_forward_pre_hook",
    after="register_forward_post_hook",
    is_tensor=_is_tensor,
    put=_put,
    version=_version,
    wants_gradient=_wants_gradient,
)
watch, graft, follow = _HOOKS.watch, _HOOKS.graft, _HOOKS.follow
