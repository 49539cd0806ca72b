"""What optimizers of one name compute in torch 2.13 and in paddle 3.3.1, where it isn't the same.

Each formula is the framework's published one, in float64: weight, gradient, learning rate and what
the optimizer kept go in, the new weight and what it keeps then come out. Slots are named as in
`frameworks.slots`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Arguments = Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class Start:
    """What one update starts from.

    Attributes:
        gradient: clipped, without weight decay.
        slots: what the optimizer kept; what is missing starts at zero.
        decay: coefficient of the coupled weight decay of this parameter.
    """

    weight: Numbers
    gradient: Numbers
    rate: float
    slots: Mapping[str, Numbers] = field(default_factory=dict)
    decay: float = 0.0

    def slot(self, name: str) -> Numbers:
        """What was kept, zeros where nothing was."""
        return self.slots.get(name, np.zeros_like(self.weight))

    @property
    def slope(self) -> Numbers:
        """The gradient with its weight decay."""
        return self.gradient + self.decay * self.weight

    @property
    def n_updates(self) -> float:
        """This one included."""
        return float(self.slots.get("step", np.zeros(()))) + 1.0


@final
@dataclass(frozen=True, slots=True)
class End:
    """What one update leaves behind."""

    weight: Numbers
    slots: Mapping[str, Numbers]


def single(arguments: Arguments) -> dict[str, float]:
    """The arguments as float32 holds them."""
    return {name: float(np.float32(value)) for name, value in arguments.items()}


def _rmsprop_in_torch(start: Start, arguments: Arguments) -> End:
    """torch.optim.RMSprop: eps is added to the root."""
    spread, slots = _averages(start, arguments)
    part = start.slope / (np.sqrt(spread) + arguments["eps"])
    if not arguments["momentum"]:
        return End(start.weight - start.rate * part, slots)
    slots["momentum"] = arguments["momentum"] * start.slot("momentum") + part
    return End(start.weight - start.rate * slots["momentum"], slots)


def _rmsprop_in_paddle(start: Start, arguments: Arguments) -> End:
    """phi's rmsprop kernel: epsilon is within the root, momentum gathers what the rate multiplied.

    The slot holds it divided by the rate (by 1 where that is 0), as portalign reads it.
    """
    arguments = single(arguments)
    spread, slots = _averages(start, arguments)
    scale = start.rate or 1.0
    moved = start.rate * start.slope / np.sqrt(spread + arguments["eps"])
    moved += arguments["momentum"] * scale * start.slot("momentum")
    if arguments["momentum"]:
        slots["momentum"] = moved / scale
    return End(start.weight - moved, slots)


def _averages(start: Start, arguments: Arguments) -> tuple[Numbers, dict[str, Numbers]]:
    """What RMSProp takes the root of, and what it keeps of it."""
    share = 1.0 - arguments["alpha"]
    squares = arguments["alpha"] * start.slot("square_average") + share * start.slope**2
    if not arguments["centered"]:
        return squares, {"square_average": squares}
    mean = arguments["alpha"] * start.slot("gradient_average") + share * start.slope
    return squares - mean**2, {"square_average": squares, "gradient_average": mean}


def _adamax_in_torch(start: Start, arguments: Arguments) -> End:
    """torch.optim.Adamax: eps is added to the gradient's size."""
    largest = np.maximum(
        arguments["beta2"] * start.slot("norm_max"), np.abs(start.slope) + arguments["eps"]
    )
    return _moved(start, arguments, arguments["beta1"], largest)


def _adamax_in_paddle(start: Start, arguments: Arguments) -> End:
    """phi's adamax kernel: epsilon is added to the decayed maximum; the bias correction takes
    beta1 in double.
    """
    rounded = single(arguments)
    decayed = rounded["beta2"] * start.slot("norm_max") + rounded["eps"]
    largest = np.maximum(np.abs(start.slope), decayed)
    return _moved(start, rounded, arguments["beta1"], largest)


def _moved(start: Start, arguments: Arguments, beta: float, largest: Numbers) -> End:
    mean = arguments["beta1"] * start.slot("m") + (1.0 - arguments["beta1"]) * start.slope
    rate = start.rate / (1.0 - beta**start.n_updates)
    return End(start.weight - rate * mean / largest, {"m": mean, "norm_max": largest})


def _asgd_in_torch(start: Start, arguments: Arguments) -> End:
    """torch.optim.ASGD: weights decay by lambd, and the rate is the one before (`eta`)."""
    rate = float(start.slots.get("eta", np.asarray(start.rate)))
    kept = start.weight * (1.0 - arguments["lambd"] * rate)
    return End(kept - rate * start.slope, {})


def _asgd_in_paddle(start: Start, _: Arguments) -> End:
    """paddle.optimizer.ASGD with batch_num 1, which is SGD."""
    return End(start.weight - start.rate * start.slope, {})


FORMULAS: Final[Mapping[tuple[str, str], Callable[[Start, Arguments], End]]] = {
    ("torch", "rmsprop"): _rmsprop_in_torch,
    ("paddle", "rmsprop"): _rmsprop_in_paddle,
    ("torch", "adamax"): _adamax_in_torch,
    ("paddle", "adamax"): _adamax_in_paddle,
    ("torch", "asgd"): _asgd_in_torch,
    ("paddle", "asgd"): _asgd_in_paddle,
}
# what only one framework's ASGD keeps: nothing that an update of the other's needs
ONE_SIDED: Final = frozenset({"eta", "mu", "ax", "d", "y", "m"})
