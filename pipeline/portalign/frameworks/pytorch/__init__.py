"""PyTorch as verbs: the only folder of portalign that imports torch. Twin of
`frameworks.paddlepaddle`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar, final

import numpy as np
import torch

from portalign.errors import CaptureError
from portalign.frameworks.base import Framework, MetricFunction, Model, Replacements, Sink, Source
from portalign.frameworks.leaves import leaves
from portalign.frameworks.pytorch import (
    drawing,
    lifting,
    losses,
    metrics,
    modules,
    optimizer_state,
    training,
    watching,
)
from portalign.frameworks.trainer import Tensor, Trainer
from portalign.records import Array, Precision, Structure
from portalign.request import Spec


@final
class PyTorch(Framework):
    """The verbs in torch."""

    name: ClassVar[str] = "torch"

    @property
    def version(self) -> str:
        return str(torch.__version__)

    def prepare(self, *, seed: int, threads: int, device: str) -> dict[str, str]:
        torch.manual_seed(seed)
        if threads:
            torch.set_num_threads(threads)
        torch.set_default_device(device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        # The fused attention path is skipped as soon as a hook hangs on a layer: watching would
        # change the run.
        torch.backends.mha.set_fastpath_enabled(False)
        return {
            "deterministic_algorithms": "warn_only",
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "cudnn.allow_tf32": str(torch.backends.cudnn.allow_tf32),
            "mha.fastpath": "off",
            "threads": str(torch.get_num_threads()),
        }

    def check_model(self, model: object) -> None:
        if not isinstance(model, torch.nn.Module):
            raise CaptureError(
                f"build returned {type(model).__module__}.{type(model).__name__}, "
                "not torch.nn.Module",
                why="only modules can be watched and given weights",
                do="return the model from `build(settings)`, or correct `framework:`",
            )

    def set_mode(self, model: Model, mode: str) -> None:
        model.train(mode == "train")

    def structure(self, model: Model) -> Structure:
        return modules.structure(model)

    def state(self, model: Model) -> Iterator[tuple[str, Tensor]]:
        return modules.state(model)

    def load(self, model: Model, values: Iterable[tuple[str, Array]]) -> None:
        modules.load(model, values)

    def numpy(self, tensor: Tensor) -> Array:
        return modules.to_numpy(tensor)

    def tensor(self, array: Array, *, precision: Precision) -> Tensor:
        tensor = modules.from_numpy(np.array(array))
        lift = precision is Precision.FLOAT64 and tensor.is_floating_point()
        return tensor.double() if lift else tensor

    def leaves(self, value: object) -> Iterator[tuple[str, Tensor]]:
        return leaves(value, lambda leaf: isinstance(leaf, torch.Tensor))

    def forward(self, model: Model, arguments: Mapping[str, Tensor], *, grad: bool) -> object:
        with torch.set_grad_enabled(grad):
            return model(**arguments)

    def watch(
        self, model: Model, sink: Sink, *, gradients: bool = False
    ) -> AbstractContextManager[None]:
        return watching.watch(model, sink, self.leaves, gradients=gradients)

    def graft(
        self, model: Model, replacements: Replacements, sink: Sink, *, gradients: bool = False
    ) -> AbstractContextManager[None]:
        return watching.graft(model, replacements, sink, gradients=gradients)

    def drawing(self, model: Model, source: Source) -> AbstractContextManager[None]:
        return drawing.drawing(model, source)

    def identity(self, tensor: Tensor) -> tuple[int, int]:
        return id(tensor), tensor._version

    def lift(self, model: Model, *, other_framework: str) -> tuple[str, ...]:
        return lifting.lift(model, round_scalars=other_framework == "paddle")

    def segments(
        self, model: Model, *, other_framework: str
    ) -> AbstractContextManager[tuple[str, ...]]:
        return lifting.segments(model, round_scalars=other_framework == "paddle")

    def lifted(self) -> AbstractContextManager[list[str]]:
        return lifting.lifted()

    def loss(
        self, spec: Spec, settings: Mapping[str, object], *, other_framework: str
    ) -> Callable[[object, Mapping[str, Tensor]], Tensor]:
        return losses.loss(spec, settings, round_scalars=other_framework == "paddle")

    def uncut(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Tensor | None]:
        return compute(), None  # torch's kernels cut nothing

    def trainer(
        self,
        model: Model | None,
        optimizer: Spec,
        lr_scheduler: Spec | None,
        *,
        settings: Mapping[str, object],
        precision: Precision,
        other_framework: str,
    ) -> Trainer:
        return training.trainer(
            model,
            optimizer,
            lr_scheduler,
            settings=settings,
            precision=precision,
            round_scalars=other_framework == "paddle",
        )

    def optimizer_state(
        self, model: Model, optimizer: object
    ) -> Iterator[tuple[str, str, Tensor | float]]:
        return optimizer_state.read(optimizer, dict(model.named_parameters()))

    def rounded_constants(self, spec: Spec, *, other_framework: str) -> tuple[str, ...]:
        return training.rounded_constants(spec) if other_framework == "paddle" else ()

    def metric(self, spec: Spec) -> MetricFunction:
        return metrics.metric(spec)

    def peak_memory_bytes(self) -> int:
        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
