"""The verbs of one training iteration: an optimizer with its LR scheduler and its clipping.

Each framework has one; `stages` calls them in order and records what they give.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from portalign.records import Array

Tensor = Any  # torch.Tensor or paddle.Tensor


@dataclass(frozen=True, slots=True)
class Clipping:
    """What gradient clipping does in one iteration.

    Attributes:
        norm: global L2 norm before clipping, computed by `norms.global_norm` from the gradients.
        coefficient: clipped norm over unclipped norm; 1.0 when nothing is clipped.
        coefficients: the same of each parameter by itself, of those that got a gradient.
        is_within: the optimizer changes gradients within a step that is all its own, so what it
            makes of them is part of its update and isn't in the coefficients.
    """

    norm: float
    coefficient: float
    coefficients: Mapping[str, float] = field(default_factory=dict)
    is_within: bool = False


class Exchange(Protocol):
    """Stands between clipping and the optimizer; sees each clipped gradient before it is used."""

    def __call__(self, name: str, gradient: Tensor) -> Tensor | None:
        """What the optimizer gets instead, or None to leave it."""


class Trainer(ABC):
    """An optimizer with its LR scheduler and its clipping: one training iteration in verbs.

    Order in one iteration: `reset`, forward and loss (by the stage), `backward`, `gradients`,
    `learning_rate`, `update`, `schedule`. The `put_...` verbs give an iteration another side's
    values; they are for a fresh trainer.
    """

    @abstractmethod
    def reset(self) -> None:
        """Set all gradients to none."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Run backward from a scalar loss."""

    @abstractmethod
    def gradients(self) -> Iterator[tuple[str, Tensor | None]]:
        """Name and unclipped gradient of every trainable parameter, in registration order.

        None stands for a parameter that got no gradient.
        """

    @abstractmethod
    def put_gradients(self, values: Mapping[str, Array]) -> None:
        """Give every trainable parameter this gradient, in its own dtype, or none."""

    @abstractmethod
    def learning_rate(self) -> float:
        """The first group's LR that the next `update` uses; reading changes nothing."""

    @abstractmethod
    def learning_rates(self) -> dict[str, float]:
        """The LR that the next `update` uses for each parameter that the optimizer holds."""

    @abstractmethod
    def put_learning_rates(self, values: Mapping[str, float]) -> None:
        """Let the next `update` use these; the others stay. The scheduler counts no more."""

    @abstractmethod
    def described(self) -> tuple[str, dict[str, float]]:
        """Name and arguments, in portalign's words, of an optimizer whose namesake of the other
        framework computes something else; both empty for the others.
        """

    @abstractmethod
    def state(self) -> Iterator[tuple[str, str, Tensor | float]]:
        """Parameter name, slot (see `slots`) and value of all that the optimizer keeps."""

    @abstractmethod
    def put_state(self, values: Mapping[str, Mapping[str, Array]]) -> None:
        """Let the optimizer keep these values: parameter name -> slot -> array.

        Slots that it doesn't have are left out; those that nobody gives start as in a fresh one.
        """

    @abstractmethod
    def update(self, exchange: Exchange | None = None) -> Clipping:
        """Clip as the port says and step the optimizer once; return what clipping really did.

        Afterwards the gradients may be the clipped ones.
        """

    @abstractmethod
    def schedule(self) -> None:
        """End an iteration, after the optimizer's step: step the LR scheduler where one is due."""
