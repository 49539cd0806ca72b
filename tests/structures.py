"""Structures of real models, and state in and out of them, for the mapping tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from portalign.records import Array, Kind, ModuleInfo, ParameterInfo, Structure


def torch_structure(model: Any) -> Structure:
    """Module tree and named state of a torch model, ties and non-persistent buffers included."""
    import torch

    state: list[ParameterInfo] = []
    seen: dict[int, str] = {}
    for path, module in model.named_modules():
        known = _known(type(module), torch.nn)
        owned = [(n, p, Kind.PARAMETER, True) for n, p in module._parameters.items()]
        owned += [
            (n, b, Kind.BUFFER, n not in module._non_persistent_buffers_set)
            for n, b in module._buffers.items()
        ]
        for slot, tensor, kind, persistent in owned:
            if tensor is not None:
                dtype = str(tensor.dtype).removeprefix("torch.")
                _add(state, seen, path, slot, known, tensor, dtype, kind, persistent)
    modules = tuple(ModuleInfo(path, type(m).__name__) for path, m in model.named_modules())
    return Structure("torch", modules, tuple(state))


def paddle_structure(model: Any) -> Structure:
    """Module tree and named state of a paddle model."""
    import paddle

    state: list[ParameterInfo] = []
    seen: dict[int, str] = {}
    layers = list(model.named_sublayers(include_self=True))
    for path, layer in layers:
        known = _known(type(layer), paddle.nn)
        owned = [
            (n, p, Kind.BUFFER if n in ("_mean", "_variance") else Kind.PARAMETER, True)
            for n, p in layer._parameters.items()
        ]
        owned += [
            (n, b, Kind.BUFFER, n not in layer._non_persistable_buffer_names_set)
            for n, b in layer._buffers.items()
        ]
        for slot, tensor, kind, persistent in owned:
            if tensor is not None:
                dtype = str(tensor.dtype).removeprefix("paddle.")
                _add(state, seen, path, slot, known, tensor, dtype, kind, persistent)
    modules = tuple(ModuleInfo(path, type(layer).__name__) for path, layer in layers)
    return Structure("paddle", modules, tuple(state))


def _known(cls: type, place: Any) -> str:
    """Class name of the nearest class that the framework itself exports."""
    for base in cls.__mro__:
        if getattr(place, base.__name__, None) is base and base.__name__ not in ("Module", "Layer"):
            return base.__name__
    return cls.__name__


def _add(
    state: list[ParameterInfo],
    seen: dict[int, str],
    path: str,
    slot: str,
    known: str,
    tensor: Any,
    dtype: str,
    kind: Kind,
    persistent: bool,
) -> None:
    name = f"{path}.{slot}" if path else slot
    state.append(
        ParameterInfo(
            name=name,
            module=path,
            slot=slot,
            module_type=known,
            shape=tuple(tensor.shape),
            dtype=dtype,
            kind=kind,
            persistent=persistent,
            tied_to=seen.get(id(tensor)),
        )
    )
    seen.setdefault(id(tensor), name)


def torch_values(model: Any) -> dict[str, Array]:
    """Every parameter and buffer by name."""
    named = [*model.named_parameters(remove_duplicate=False)]
    named += [*model.named_buffers(remove_duplicate=False)]
    return {name: tensor.detach().numpy().copy() for name, tensor in named}


def paddle_values(model: Any) -> dict[str, Array]:
    """Every parameter and buffer by name, tied names too."""
    return {name: np.asarray(tensor) for name, tensor in _paddle_tensors(model).items()}


def _paddle_tensors(model: Any) -> dict[str, Any]:
    return {
        (f"{path}.{slot}" if path else slot): tensor
        for path, layer in model.named_sublayers(include_self=True)
        for slot, tensor in (*layer._parameters.items(), *layer._buffers.items())
        if tensor is not None
    }


def load_paddle(model: Any, values: dict[str, Array]) -> None:
    """Write values into a paddle model's tensors by name."""
    tensors = _paddle_tensors(model)
    for name, array in values.items():
        assert tuple(tensors[name].shape) == array.shape, name
        tensors[name].set_value(np.ascontiguousarray(array))


def load_torch(model: Any, values: dict[str, Array]) -> None:
    """Write values into a torch model's tensors by name."""
    import torch

    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, array in values.items():
            assert tuple(tensors[name].shape) == array.shape, name
            tensors[name].copy_(torch.from_numpy(np.array(array)))
