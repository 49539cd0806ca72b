"""What the mapping tests share: real models lined up, run, and watched into traces in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from portalign.frameworks import load
from portalign.mapping.names import WeightPlan, match_state
from portalign.mapping.weights import carry
from portalign.records import (
    Array,
    Kind,
    ParameterInfo,
    Precision,
    Role,
    SideInfo,
    Structure,
    TensorKey,
    TensorRecord,
    Trace,
)

# Float32 forward passes of small models in two frameworks; a wrong layout shows at 0.1 and above.
CLOSE = 1e-5


def framework_of(model: Any) -> Any:
    """The verbs of the framework a model is built in."""
    is_paddle = any(cls.__module__.startswith("paddle.") for cls in type(model).__mro__)
    return load("paddle" if is_paddle else "torch")


def structure(model: Any) -> Structure:
    """Structure as the model's framework tells it."""
    found: Structure = framework_of(model).structure(model)
    return found


def values(model: Any) -> dict[str, Array]:
    """Every parameter and buffer by name."""
    framework = framework_of(model)
    return {name: np.array(framework.numpy(t)) for name, t in framework.state(model)}


def line_up(
    reference: Any,
    candidate: Any,
    *,
    rename: Sequence[Sequence[str]] = (),
    layout: Mapping[str, str] | None = None,
) -> WeightPlan:
    """Plan the mapping and load the reference's weights into the candidate; both in eval mode."""
    plan = match_state(structure(reference), structure(candidate), rename=rename, layout=layout)
    framework_of(candidate).load(candidate, carry(plan, values(reference).__getitem__))
    for model in (reference, candidate):
        framework_of(model).set_mode(model, "eval")
    return plan


def run(model: Any, *inputs: Array, **named: Array) -> Array:
    """The first tensor that the model returns, in evaluation."""
    framework = framework_of(model)
    tensors = [framework.tensor(array, precision=Precision.NATIVE) for array in inputs]
    keywords = {
        k: framework.tensor(array, precision=Precision.NATIVE) for k, array in named.items()
    }
    _, first = next(iter(framework.leaves(model(*tensors, **keywords))))
    return np.array(framework.numpy(first))


def difference(reference: Any, candidate: Any, *inputs: Array, **named: Array) -> float:
    """Greatest absolute difference of the two models' first output on the same input."""
    ours, theirs = run(reference, *inputs, **named), run(candidate, *inputs, **named)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())


def pairs_of(plan: WeightPlan) -> dict[str, str]:
    """The plan as text: reference names -> candidate names."""
    return {"+".join(entry.reference): "+".join(entry.candidate) for entry in plan.entries}


def tensors(
    *entries: tuple[str, tuple[int, ...]], framework: str = "torch", module_type: str = "Linear"
) -> Structure:
    """A structure of bare parameters, for names that no model is needed for."""
    state = []
    for name, shape in entries:
        module, _, slot = name.rpartition(".")
        state.append(ParameterInfo(name, module, slot, module_type, shape, "float32"))
    return Structure(framework, (), tuple(state))


def trace_of(model: Any, role: Role, *inputs: Array, named: Sequence[str] = ()) -> Trace:
    """Run a model watched and keep all it shows, its state and its outputs, natively."""
    framework = framework_of(model)
    found = [
        TensorRecord(
            TensorKey(info.kind, info.module, info.slot),
            0,
            np.array(framework.numpy(tensor)),
            info.dtype,
            info.module_type,
        )
        for info, (_, tensor) in zip(structure(model).state, framework.state(model), strict=True)
        if info.tied_to is None
    ]

    def sink(kind: Kind, path: str, slot: str, call: int, tensor: Any, module_type: str) -> None:
        array = np.array(framework.numpy(tensor))
        key = TensorKey(kind, path, slot, call)
        found.append(TensorRecord(key, 0, array, array.dtype.name, module_type))

    arrays = [framework.tensor(array, precision=Precision.NATIVE) for array in inputs]
    with framework.watch(model, sink):
        leaves = list(framework.leaves(model(*arrays)))
    for at, (slot, tensor) in enumerate(leaves):
        key = TensorKey(Kind.OUTPUT, named[at] if named else slot)
        array = np.array(framework.numpy(tensor))
        found.append(TensorRecord(key, 0, array, array.dtype.name))
    return trace(role, found, structure(model))


def trace(role: Role, records: Sequence[TensorRecord], tree: Structure | None = None) -> Trace:
    """A trace in memory; records are numbered in the order given."""
    info = SideInfo(role, "", "", "", "cpu", "eval", 0, 1, "", "", structure=tree)
    numbered = tuple(
        TensorRecord(r.key, order, r.array, r.dtype, r.module_type)
        for order, r in enumerate(records)
    )
    return Trace(folder="memory", info=info, records=numbered, is_complete=True)


def record(
    kind: Kind,
    path: str = "",
    slot: str = "",
    *,
    array: Array | None = None,
    iteration: int = 0,
    precision: Precision = Precision.NATIVE,
) -> TensorRecord:
    """A record of call 0; two zeros unless `array` is given."""
    key = TensorKey(kind, path, slot, 0, iteration, precision)
    return TensorRecord(key, 0, np.zeros(2) if array is None else array, "float32")


def floats(*shape: int) -> Array:
    """Normal float32 values, the same for the same shape."""
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def randomise(model: Any) -> None:
    """Give a torch model's norms and statistics values that a swap would change."""
    import torch

    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)


def tokens(n_words: int, *shape: int) -> Array:
    """Word numbers, the same for the same arguments."""
    return np.random.default_rng(7).integers(0, n_words, size=shape)
