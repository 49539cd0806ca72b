"""The verbs a framework must have: only what differs by framework; all logic sits in `stages`.

`pytorch` and `paddlepaddle` are twins: the same file names, the same functions, different verbs. A
framework is imported only when its class is made (`frameworks.load`), never at module level
elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from portalign.frameworks.trainer import Tensor, Trainer
from portalign.records import Array, Kind, Precision, Structure
from portalign.request import Spec

Model = Any  # torch.nn.Module or paddle.nn.Layer
Batch = Mapping[str, Array]
ScoredBatches = Sequence[tuple[Array, Array]]  # [(scores [n, classes] float, labels [n] int), ...]
MetricFunction = Callable[[ScoredBatches], float | Array]


class Replacements(Protocol):
    """What to put in the place of a tensor, in this side's own shape."""

    def __call__(self, kind: Kind, path: str, slot: str, call: int) -> Array | None:
        """The values to put in, or None to leave what is there."""


class Sink(Protocol):
    """Where a watched run sends what it sees."""

    def __call__(
        self, kind: Kind, path: str, slot: str, call: int, tensor: Tensor, module_type: str
    ) -> None:
        """Take one live tensor. The sink copies at once; it never keeps or changes the tensor."""


class Source(Protocol):
    """Takes every draw of a framework and may put other numbers in its place."""

    def draw(self, path: str, kind: str, terms: tuple[float, ...], own: Array) -> Array | None:
        """Take one draw.

        Args:
            path: of the module whose code draws, "" for the root.
            kind: `drawing.KEEP`, `drawing.UNIFORM` or `drawing.NORMAL`.
            terms: of the distribution, by kind.
            own: what the framework drew.

        Returns:
            Numbers of the same shape to use instead; None leaves the framework's own.
        """

    def unknown(self, path: str, what: str) -> None:
        """Hear of a draw that can't be replaced; `what` is the framework's name for it."""


class Framework(ABC):
    """One deep learning framework, as verbs."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def version(self) -> str:
        """Version string of the framework."""

    @abstractmethod
    def prepare(self, *, seed: int, threads: int, device: str) -> dict[str, str]:
        """Set seeds, threads, determinism and precision (no TF32); return every switch by name."""

    @abstractmethod
    def check_model(self, model: object) -> None:
        """Raise CaptureError unless `model` is this framework's module type."""

    @abstractmethod
    def set_mode(self, model: Model, mode: str) -> None:
        """Switch the model to "eval" or "train"."""

    @abstractmethod
    def structure(self, model: Model) -> Structure:
        """Module tree, parameters, buffers (non-persistent ones too) and plain tensor attributes of
        modules, which count as buffers outside the state dict; ties told apart.
        """

    @abstractmethod
    def state(self, model: Model) -> Iterator[tuple[str, Tensor]]:
        """Name and live tensor of every parameter and buffer, named and ordered as `structure`."""

    @abstractmethod
    def load(self, model: Model, values: Iterable[tuple[str, Array]]) -> None:
        """Copy values into the named parameters and buffers, in place.

        Raises:
            CaptureError: a shape differs.
        """

    @abstractmethod
    def numpy(self, tensor: Tensor) -> Array:
        """The values as numpy, bf16 as `ml_dtypes.bfloat16`. May share memory with the tensor."""

    @abstractmethod
    def tensor(self, array: Array, *, precision: Precision) -> Tensor:
        """A new tensor; floating arrays become float64 when `precision` is FLOAT64."""

    @abstractmethod
    def leaves(self, value: object) -> Iterator[tuple[str, Tensor]]:
        """Tensors within nested tuples, lists, dicts and dataclasses, with dotted slots.

        Slots look like "0" and "hidden.1"; a bare tensor has the slot "".
        """

    @abstractmethod
    def forward(self, model: Model, arguments: Mapping[str, Tensor], *, grad: bool) -> object:
        """Call the model with keyword arguments; without building a graph unless `grad`."""

    @abstractmethod
    def watch(
        self, model: Model, sink: Sink, *, gradients: bool = False
    ) -> AbstractContextManager[None]:
        """While open, send every module's inputs and outputs to the sink, in execution order.

        Slots are "in.0", "in.name", "out.0". With `gradients`, the gradient of every module output
        too (kind GRADIENT). Uses forward hooks and tensor hooks only: the watched run is bitwise
        equal to the bare one.
        """

    @abstractmethod
    def graft(
        self, model: Model, replacements: Replacements, sink: Sink, *, gradients: bool = False
    ) -> AbstractContextManager[None]:
        """While open, put replacements in at every module, so that no difference travels.

        What arrives at a module and what it returns goes to the sink before it is replaced. With
        `gradients`, the same for the gradient that arrives at every module output. A replaced
        tensor stays in the graph: gradients flow through it to where the original came from.
        """

    @abstractmethod
    def drawing(self, model: Model, source: Source) -> AbstractContextManager[None]:
        """While open, every random number that the model draws goes through the source.

        Its own generator moves as ever; where the source puts nothing else in, the run is bitwise
        equal to the bare one.
        """

    @abstractmethod
    def identity(self, tensor: Tensor) -> tuple[int, int]:
        """Object identity and in-place version: equal for the same untouched live tensor."""

    @abstractmethod
    def lift(self, model: Model, *, other_framework: str) -> tuple[str, ...]:
        """Turn the model into its float64 twin, in place. Scalars that the other framework keeps in
        float32 are rounded alike. Returns notes that name them."""

    @abstractmethod
    def segments(
        self, model: Model, *, other_framework: str
    ) -> AbstractContextManager[tuple[str, ...]]:
        """While open, the model is its own float64 twin as `lift` makes it, but no more of it at a
        time than what is being computed; its own tensors aren't touched. For the forward pass only.
        Gives the notes of `lift`."""

    @abstractmethod
    def lifted(self) -> AbstractContextManager[list[str]]:
        """While open, factories and casts that name a lower float dtype give float64, and so do
        kernels with float32 constants. Gives a list of notes on those, which grows as they run."""

    @abstractmethod
    def loss(
        self, spec: Spec, settings: Mapping[str, object], *, other_framework: str
    ) -> Callable[[object, Mapping[str, Tensor]], Tensor]:
        """The loss as a function of (model outputs, batch tensors) -> scalar tensor."""

    @abstractmethod
    def uncut(self, compute: Callable[[], Tensor]) -> tuple[Tensor, Tensor | None]:
        """A loss as `compute` gives it, and what it is without the cut that this framework's
        kernels made in its exponents; None where they made none."""

    @abstractmethod
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
        """Build optimizer, scheduler and clipping; for `model` None around one dummy parameter."""

    @abstractmethod
    def optimizer_state(
        self, model: Model, optimizer: object
    ) -> Iterator[tuple[str, str, Tensor | float]]:
        """What a porter's own optimizer keeps for the model's parameters, as `Trainer.state`."""

    @abstractmethod
    def rounded_constants(self, spec: Spec, *, other_framework: str) -> tuple[str, ...]:
        """What the float64 twin of a loss or optimizer evens out to match the other side.

        One sentence each, for the report; empty where nothing is changed.
        """

    @abstractmethod
    def metric(self, spec: Spec) -> MetricFunction:
        """The metric, computed batch by batch with this framework's usual library."""

    @abstractmethod
    def peak_memory_bytes(self) -> int:
        """Peak device memory; 0 on CPU."""
