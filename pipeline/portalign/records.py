"""What was captured: keys, records and traces. Facts only; who writes and reads them is `store`.

Both arms of portalign and both frameworks meet in these types and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


class Role(str, Enum):
    """Which side of a port: the model that is right by definition, or the one under test."""

    REFERENCE = "reference"
    CANDIDATE = "candidate"


class Step(str, Enum):
    """A runnable proof. The value is also the folder name under ``logs/<port>/``."""

    FORWARD = "forward"
    METRIC = "metric"
    LR_SCHEDULER = "lr_scheduler"
    BACKWARD = "backward"


class Kind(str, Enum):
    """What a captured array is."""

    INPUT = "input"
    DRAW = "random draw"
    PARAMETER = "parameter"
    BUFFER = "buffer"
    ACTIVATION = "activation"
    OUTPUT = "output"
    PREDICTION = "prediction"
    METRIC = "metric"
    LR = "lr"
    LOSS = "loss"
    UNCUT = "uncut loss"  # what a loss is without the cut of a kernel; stands beside it
    DENOMINATOR = "loss denominator"  # what a loss divides its sum by
    GRADIENT = "gradient"
    GRADIENT_NORM = "gradient_norm"
    OPTIMIZER_STATE = "optimizer_state"


class Precision(str, Enum):
    """Native: as the port runs. Float64: the same side lifted, its twin."""

    NATIVE = "native"
    FLOAT64 = "float64"


@dataclass(frozen=True, slots=True, order=True)
class TensorKey:
    """The name of one captured array, unique within a trace.

    Attributes:
        kind: what the array is.
        path: module path as the framework prints it, "" for the root; for ``OUTPUT`` the name of
            the output leaf ("logits", "hidden_states.3"); for ``INPUT`` the field of the batch; for
            ``DRAW`` the module whose code draws, in the reference's words on both sides.
        slot: which of the module's arrays: "in.0", "out.0", "out.hidden.1", "weight", "bias"...;
            for ``DRAW`` its kind: "keep", "uniform", "normal".
        call: n-th use of that module within the iteration, from 0; for ``DRAW`` its n-th draw.
        iteration: training iteration or batch index, from 0. A ``PARAMETER`` or ``BUFFER`` of
            iteration k is its value *before* iteration k, so k = N holds the final values.
        precision: native capture or its float64 twin.
    """

    kind: Kind
    path: str
    slot: str = ""
    call: int = 0
    iteration: int = 0
    precision: Precision = Precision.NATIVE

    @property
    def name(self) -> str:
        """Path and slot joined: the full parameter name for parameters and gradients.

        >>> TensorKey(Kind.PARAMETER, "encoder.0.fc", "weight").name
        'encoder.0.fc.weight'
        """
        return ".".join(part for part in (self.path, self.slot) if part)

    def __str__(self) -> str:
        text = f"{self.kind.value} {self.name or '(root)'}"
        text += f" call {self.call}" if self.call else ""
        text += f" iteration {self.iteration}" if self.iteration else ""
        return text + (" float64" if self.precision is Precision.FLOAT64 else "")


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One captured array and where it came from.

    Attributes:
        key: its name.
        order: position in capture order, from 0, over the whole trace.
        array: the values; memory-mapped and read-only when it comes from disk.
        dtype: dtype name as the framework had it ("float32", "bfloat16", "bool").
        module_type: class name of the module it belongs to ("Linear"), "" if none.
        alias_of: order of an earlier record that holds the same tensor object, if any.
    """

    key: TensorKey
    order: int
    array: Array
    dtype: str
    module_type: str = ""
    alias_of: int | None = None


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """One module of a side's tree, in registration order (parents before children)."""

    path: str
    type: str


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One parameter or buffer of a side, in registration order.

    Attributes:
        name: full dotted name as the framework prints it.
        module: path of the owning module, "" for the root.
        slot: last part of the name ("weight", "_mean").
        module_type: class name of the owner; for a subclass of a known framework class, that
            known class ("Linear" for ``class MyLinear(nn.Linear)``).
        shape: shape in the framework's own layout.
        dtype: dtype name.
        kind: ``PARAMETER`` or ``BUFFER``. Paddle lists batch norm statistics as parameters; they
            are BUFFER here.
        trainable: takes part in the optimizer step.
        persistent: is part of the state dict (False for non-persistent buffers).
        tied_to: name of the earlier entry that is the very same tensor, if any.
    """

    name: str
    module: str
    slot: str
    module_type: str
    shape: tuple[int, ...]
    dtype: str
    kind: Kind = Kind.PARAMETER
    trainable: bool = True
    persistent: bool = True
    tied_to: str | None = None


@dataclass(frozen=True, slots=True)
class Structure:
    """A side's module tree and its named state."""

    framework: str
    modules: tuple[ModuleInfo, ...]
    state: tuple[ParameterInfo, ...]


@dataclass(frozen=True, slots=True)
class SideInfo:
    """How a side was run: all that is needed to run it again, and to doubt it.

    Attributes:
        source: the build function's reference, as in the port file.
        source_sha256: hash of the file that defines the build function.
        weights_sha256: hash over names, dtypes, shapes and bytes of the initial state.
        inputs_sha256: hash over the batches it was fed.
        flags: determinism and precision switches, name to value.
        model_sha256: hash of the model's classes, their sources and plain settings; "" if it is
            built of the framework's own modules only.
        optimizer: name of an optimizer whose namesake of the other framework computes something
            else, and `optimizer_arguments`, in portalign's words; empty for the others.
        lifted: notes of the float64 twin: constants rounded alike, tensors that stayed behind.
        seconds: wall time by phase ("import", "build", "forward", ...).
    """

    role: Role
    framework: str
    framework_version: str
    python: str
    device: str
    mode: str
    seed: int
    threads: int
    source: str
    source_sha256: str
    weights_sha256: str = ""
    inputs_sha256: str = ""
    model_sha256: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    optimizer: str = ""
    optimizer_arguments: dict[str, float] = field(default_factory=dict)
    lifted: tuple[str, ...] = ()
    structure: Structure | None = None
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A tensor that was seen but could not be recorded, and why."""

    key: TensorKey
    reason: str


@dataclass(frozen=True, slots=True)
class Trace:
    """One side of one step, read back from disk.

    Attributes:
        folder: where it came from, for messages.
        info: None when the trace is incomplete.
        records: in capture order.
        is_complete: the manifest was there and every record it promises could be found.
    """

    folder: str
    info: SideInfo | None
    records: tuple[TensorRecord, ...]
    is_complete: bool
    skipped: tuple[SkippedRecord, ...] = ()

    def by_key(self) -> dict[TensorKey, TensorRecord]:
        """Records by key. Keys are unique within a trace; `store` refuses duplicates."""
        return {record.key: record for record in self.records}
