"""PaddlePaddle as verbs: the only folder of portalign that imports paddle. Twin of
`frameworks.pytorch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar, final

import paddle

from portalign.errors import CaptureError
from portalign.frameworks.base import Framework, MetricFunction, Model, Replacements, Sink, Source
from portalign.frameworks.leaves import leaves
from portalign.frameworks.paddlepaddle import (
    cuts,
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
class PaddlePaddle(Framework):
    """The verbs in paddle."""

    name: ClassVar[str] = "paddle"

    @property
    def version(self) -> str:
        return str(paddle.__version__)

    def prepare(self, *, seed: int, threads: int, device: str) -> dict[str, str]:
        paddle.seed(seed)
        paddle.set_device("gpu" if device == "cuda" else device)
        flags = {"FLAGS_cudnn_deterministic": True, "FLAGS_embedding_deterministic": 1}
        known = paddle.get_flags(list(flags)) if paddle.is_compiled_with_cuda() else {}
        paddle.set_flags({name: flags[name] for name in known})
        # Paddle's CPU kernels take their thread count from OMP_NUM_THREADS, which the runner sets.
        return {**{name: str(flags[name]) for name in known}, "threads": str(threads)}

    def check_model(self, model: object) -> None:
        if not isinstance(model, paddle.nn.Layer):
            raise CaptureError(
                f"build returned {type(model).__module__}.{type(model).__name__}, "
                "not paddle.nn.Layer",
                why="only layers can be watched and given weights",
                do="return the model from `build(settings)`, or correct `framework:`",
            )

    def set_mode(self, model: Model, mode: str) -> None:
        if mode == "train":
            model.train()
        else:
            model.eval()

    def structure(self, model: Model) -> Structure:
        return modules.structure(model)

    def state(self, model: Model) -> Iterator[tuple[str, Tensor]]:
        return modules.state(model)

    def load(self, model: Model, values: Iterable[tuple[str, Array]]) -> None:
        modules.load(model, values)

    def numpy(self, tensor: Tensor) -> Array:
        return modules.to_numpy(tensor)

    def tensor(self, array: Array, *, precision: Precision) -> Tensor:
        tensor = modules.from_numpy(array)
        lift = precision is Precision.FLOAT64 and tensor.is_floating_point()
        return tensor.astype("float64") if lift else tensor

    def leaves(self, value: object) -> Iterator[tuple[str, Tensor]]:
        return leaves(value, lambda leaf: isinstance(leaf, paddle.Tensor))

    def forward(self, model: Model, arguments: Mapping[str, Tensor], *, grad: bool) -> object:
        with paddle.set_grad_enabled(grad):
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
        return id(tensor), tensor.inplace_version

    def lift(self, model: Model, *, other_framework: str) -> tuple[str, ...]:
        return lifting.lift(model)

    def segments(
        self, model: Model, *, other_framework: str
    ) -> AbstractContextManager[tuple[str, ...]]:
        return lifting.segments(model)

    def lifted(self) -> AbstractContextManager[list[str]]:
        return lifting.lifted()

    def loss(
        self, spec: Spec, settings: Mapping[str, object], *, other_framework: str
    ) -> Callable[[object, Mapping[str, Tensor]], Tensor]:
        return losses.loss(spec, settings)

    def uncut(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Tensor | None]:
        return cuts.uncut(compute)

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
            model, optimizer, lr_scheduler, settings=settings, precision=precision
        )

    def optimizer_state(
        self, model: Model, optimizer: object
    ) -> Iterator[tuple[str, str, Tensor | float]]:
        return optimizer_state.read(optimizer, dict(model.named_parameters()))

    def rounded_constants(self, spec: Spec, *, other_framework: str) -> tuple[str, ...]:
        return training.rounded_constants(spec)

    def metric(self, spec: Spec) -> MetricFunction:
        return metrics.metric(spec)

    def peak_memory_bytes(self) -> int:
        return (
            int(paddle.device.cuda.max_memory_allocated()) if paddle.is_compiled_with_cuda() else 0
        )
