"""A paddle model's tree, state and values: names, ties, numpy in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import paddle
from paddle.nn.layer.norm import _BatchNormBase
from paddle.nn.layer.rnn import RNNBase

from portalign.errors import CaptureError
from portalign.frameworks import trees
from portalign.frameworks.trees import Held
from portalign.records import Array, Kind, Structure

# paddle 3.3.1 hands these out as raw integers of the same width, silently
_VIEWED = {"bfloat16": np.uint16, "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8}


def known_type(layer: paddle.nn.Layer) -> str:
    """Class name of the nearest paddle.nn class a layer derives from, its own if there is none."""
    for cls in type(layer).__mro__:
        if cls.__module__.startswith("paddle.nn.") and cls is not paddle.nn.Layer:
            return cls.__name__
    return type(layer).__name__


def structure(model: paddle.nn.Layer) -> Structure:
    """Tree and state in registration order; a shared layer once, its state at every path."""
    layers = model.named_sublayers(include_self=True)
    modules = ((path, known_type(layer)) for path, layer in layers)
    return trees.structure("paddle", modules, _walk(model))


def state(model: paddle.nn.Layer) -> Iterator[tuple[str, paddle.Tensor]]:
    """Name and live tensor of every entry of `structure`, in its order."""
    return trees.named(_walk(model))


def load(model: paddle.nn.Layer, values: Iterable[tuple[str, Array]]) -> None:
    """Copy values into parameters and buffers in place."""
    targets = dict(state(model))
    with paddle.no_grad():
        for name, array in values:
            trees.check_shape(name, array.shape, targets[name].shape)
            targets[name].set_value(from_numpy(array).astype(targets[name].dtype))


def dtype_name(tensor: paddle.Tensor) -> str:
    """ "float32" for paddle.float32."""
    return str(tensor.dtype).removeprefix("paddle.")


def to_numpy(tensor: paddle.Tensor) -> Array:
    """Values as numpy; bf16 and fp8 as ml_dtypes. Sparse tensors raise CaptureError."""
    if not tensor.is_dense():
        raise CaptureError(
            f"a sparse or distributed tensor of dtype {tensor.dtype}",
            why="only dense tensors have comparable elements",
            do="make it dense in the model, or leave its layer out",
        )
    values = np.asarray(tensor.detach().numpy())
    name = dtype_name(tensor)
    if name in _VIEWED:
        import ml_dtypes

        return values.view(getattr(ml_dtypes, name))
    return values


def from_numpy(array: Array) -> paddle.Tensor:
    """A tensor of the same values and dtype."""
    name = array.dtype.name
    values = np.ascontiguousarray(array).reshape(array.shape)
    if name in _VIEWED:
        return paddle.to_tensor(values.view(_VIEWED[name])).view(name)
    return paddle.to_tensor(values)


def _walk(model: paddle.nn.Layer) -> Iterator[Held]:
    return trees.with_attributes(_registered(model), _attributes(model))


def _registered(layer: paddle.nn.Layer, path: str = "") -> Iterator[Held]:
    for kind, group in ((Kind.PARAMETER, layer._parameters), (Kind.BUFFER, layer._buffers)):
        for slot, tensor in group.items():
            if tensor is not None and not _is_scratch(layer, slot):
                yield Held(
                    path,
                    slot,
                    known_type(layer),
                    tensor,
                    dtype_name(tensor),
                    Kind.BUFFER if is_statistic(layer, slot) else kind,
                    trainable=not tensor.stop_gradient,
                    persistent=slot not in layer._non_persistable_buffer_names_set,
                )
    for name, child in layer._sub_layers.items():
        if child is not None:
            yield from _registered(child, f"{path}.{name}" if path else name)


def _attributes(model: paddle.nn.Layer) -> Iterator[Held]:
    """Plain tensor attributes; paddle 3.3.1 itself makes buffers of those that are assigned."""
    for path, layer in model.named_sublayers(include_self=True, remove_duplicate=False):
        for slot, tensor in vars(layer).items():
            if isinstance(tensor, paddle.Tensor) and _is_plain(tensor):
                kind, name = known_type(layer), dtype_name(tensor)
                yield trees.attribute(path, slot, kind, tensor, name)


def _is_plain(tensor: paddle.Tensor) -> bool:
    return tensor.is_dense() and tensor.stop_gradient


def _is_scratch(layer: paddle.nn.Layer, slot: str) -> bool:
    """An RNN's room for dropout: empty at first, a scalar once it has run, never a weight."""
    return isinstance(layer, RNNBase) and slot == "_dropout_state"


def is_statistic(layer: paddle.nn.Layer, slot: str) -> bool:
    """Paddle lists running statistics as frozen parameters."""
    return isinstance(layer, _BatchNormBase) and slot in ("_mean", "_variance")
