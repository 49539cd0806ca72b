"""What one side is asked to do: the plain-data order that a runner hands to a capture process.

A child process may run under another interpreter that has neither pydantic nor yaml, so the port
file is resolved before it gets here: functions are absolute references, defaults are filled in.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portalign.records import Precision, Role, Step

Json = Any  # JSON data: what `json.loads` returns


@dataclass(frozen=True, slots=True)
class Spec:
    """A named object with arguments ("adamw", {"lr": 3e-5}) or a porter's own function.

    Attributes:
        name: name in portalign's table of equivalents; "" when `function` is given.
        function: reference to a porter's function, absolute ("/abs/file.py:fn" or
            "package.module:fn"); "" if none.
        args: arguments, already merged for this side.
        label: how results name it, the same on both sides ("accuracy_k5").
    """

    name: str = ""
    function: str = ""
    args: dict[str, Json] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Everything one child process needs to run one side of one step.

    Attributes:
        folder: the step's folder; this side writes to ``<folder>/<role>/``.
        has_own_batches: they come from another function than the other side's.
        inputs: model argument name -> batch field, where they differ.
        labels: batch fields that are kept for loss and metrics and not passed to the model.
        outputs: names the model's outputs must have; empty: whatever it returns.
        recording: folder of a recorded training that both sides start from; "" if there is none.
        weights: ``{"rename": [[regex, replacement]...], "layout": {parameter name:
            "as_is"|"transposed"}, "carry": bool}``; without "carry" they are carried.
        accumulate: batches of each training iteration; their mean is its loss.
        records: "losses" keeps losses and learning rates of a training and nothing else; else "".
        record_iterations: iterations at which full gradients and parameters are kept; empty:
            `stages.training` decides by size.
        precisions: captures to make, native first.
        twin: "on" lifts the whole model to float64, "segments" only what is being computed, "off"
            nothing; "auto" takes the first of them that memory allows.
        parallel: "auto" lets both sides run at once where memory allows; "on" always, "off" never.
        other_framework: framework of the other side.
        probe: "auto" runs both sides once more where the given inputs can't decide, "off" doesn't.
    """

    role: Role
    step: Step
    port: str
    folder: str
    framework: str
    other_framework: str
    build: str
    settings: dict[str, Json]
    batches: str
    recording: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ("labels",)
    outputs: tuple[str, ...] = ()
    loss: Spec | None = None
    optimizer: Spec | None = None
    lr_scheduler: Spec | None = None
    metrics: tuple[Spec, ...] = ()
    weights: dict[str, Json] = field(default_factory=dict)
    iterations: int = 10
    accumulate: int = 1
    records: str = ""
    record_iterations: tuple[int, ...] = ()
    mode: str = "eval"
    seed: int = 0
    threads: int = 0
    device: str = "cpu"
    precisions: tuple[Precision, ...] = (Precision.NATIVE, Precision.FLOAT64)
    twin: str = "auto"
    parallel: str = "auto"
    probe: str = "auto"
    has_own_batches: bool = False

    def to_json(self) -> str:
        """The request as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> CaptureRequest:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        spec = {
            name: Spec(**data[name]) if data[name] else None
            for name in ("loss", "optimizer", "lr_scheduler")
        }
        return cls(
            **{
                **data,
                **spec,
                "role": Role(data["role"]),
                "step": Step(data["step"]),
                "metrics": tuple(Spec(**metric) for metric in data["metrics"]),
                "labels": tuple(data["labels"]),
                "outputs": tuple(data["outputs"]),
                "record_iterations": tuple(data["record_iterations"]),
                "precisions": tuple(Precision(p) for p in data["precisions"]),
            }
        )

    def side_folder(self) -> Path:
        """Where this side's trace goes."""
        return Path(self.folder) / self.role.value
