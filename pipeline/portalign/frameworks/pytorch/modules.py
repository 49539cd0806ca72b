"""A torch model's tree, state and values: names, ties, numpy in and out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from portalign.errors import CaptureError
from portalign.frameworks import trees
from portalign.frameworks.trees import Held
from portalign.records import Array, Kind, Structure

_VIEWED = {  # torch dtypes without a numpy twin, viewed through integers of the same width
    torch.bfloat16: (torch.int16, "bfloat16"),
    torch.float8_e4m3fn: (torch.int8, "float8_e4m3fn"),
    torch.float8_e5m2: (torch.int8, "float8_e5m2"),
}


def known_type(module: torch.nn.Module) -> str:
    """Class name of the nearest torch.nn class a module derives from, its own if there is none."""
    for cls in type(module).__mro__:
        if cls.__module__.startswith("torch.nn.") and cls is not torch.nn.Module:
            return cls.__name__
    return type(module).__name__


def structure(model: torch.nn.Module) -> Structure:
    """Tree and state in registration order; a shared module once, its state at every path."""
    modules = ((path, known_type(module)) for path, module in model.named_modules())
    return trees.structure("torch", modules, _walk(model))


def state(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and live tensor of every entry of `structure`, in its order."""
    return trees.named(_walk(model))


def load(model: torch.nn.Module, values: Iterable[tuple[str, Array]]) -> None:
    """Copy values into parameters and buffers in place."""
    targets = dict(state(model))
    with torch.no_grad():
        for name, array in values:
            trees.check_shape(name, array.shape, targets[name].shape)
            targets[name].copy_(from_numpy(np.array(array)))


def dtype_name(tensor: torch.Tensor) -> str:
    """ "float32" for torch.float32."""
    return str(tensor.dtype).removeprefix("torch.")


def to_numpy(tensor: torch.Tensor) -> Array:
    """Values as numpy; bf16 and fp8 as ml_dtypes. May share memory. Sparse and quantised tensors
    raise CaptureError.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise CaptureError(
            f"a {tensor.layout} tensor of dtype {tensor.dtype}",
            why="only dense tensors have comparable elements",
            do="make it dense in the model, or leave its module out",
        )
    values = tensor.detach().cpu().resolve_conj().resolve_neg()
    if values.dtype in _VIEWED:
        import ml_dtypes

        integers, name = _VIEWED[values.dtype]
        return values.contiguous().view(integers).numpy().view(getattr(ml_dtypes, name))
    return values.numpy()


def from_numpy(array: Array) -> torch.Tensor:
    """A tensor that shares `array`'s memory where torch can; unsigned 16/32/64-bit integers keep
    their type. The dtype is the array's, even while a twin is lifted.
    """
    name = array.dtype.name
    for dtype, (integers, viewed) in _VIEWED.items():
        if viewed == name:
            width = np.int16 if integers is torch.int16 else np.int8
            with torch._C.DisableTorchFunction():  # a lifted dtype argument would mean float64
                return torch.from_numpy(array.view(width)).view(dtype)
    return torch.from_numpy(array).to(torch.get_default_device())


def _walk(model: torch.nn.Module) -> Iterator[Held]:
    return trees.with_attributes(_registered(model), _attributes(model))


def _registered(model: torch.nn.Module) -> Iterator[Held]:
    for path, module in model.named_modules(remove_duplicate=False):
        for kind, group in (
            (Kind.PARAMETER, module._parameters),
            (Kind.BUFFER, module._buffers),
        ):
            for slot, tensor in group.items():
                if tensor is not None:
                    yield Held(
                        path,
                        slot,
                        known_type(module),
                        tensor,
                        dtype_name(tensor),
                        kind,
                        trainable=bool(tensor.requires_grad),
                        persistent=slot not in module._non_persistent_buffers_set,
                    )


def _attributes(model: torch.nn.Module) -> Iterator[Held]:
    """Plain tensor attributes; not those computed from parameters, as a weight norm's."""
    for path, module in model.named_modules(remove_duplicate=False):
        for slot, tensor in vars(module).items():
            if isinstance(tensor, torch.Tensor) and _is_plain(tensor):
                kind, name = known_type(module), dtype_name(tensor)
                yield trees.attribute(path, slot, kind, tensor, name)


def _is_plain(tensor: torch.Tensor) -> bool:
    is_dense = tensor.layout is torch.strided and not tensor.is_quantized
    return is_dense and tensor.device.type != "meta" and not tensor.requires_grad
