"""What optimizers keep between two updates, by names that hold in both frameworks.

A slot is an array of its parameter's shape, or one number per parameter (`NUMBERS`). Powers are of
the updates done: after n updates ``beta1_power`` is beta1 ** n. What neither table knows (a
porter's own optimizer) goes by the name it has there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

# momentum         SGD's and RMSProp's velocity
# m, v, v_max      Adam's moments, the greatest second one (AMSGrad)
# norm_max         Adamax
# momentum_product NAdam's product of its momentum coefficients
# square_sum       Adagrad
# square_average, gradient_average, update_average   RMSProp, Adadelta
# previous_gradient, step_sizes                      Rprop
NUMBERS: Final = ("step", "beta1_power", "beta2_power", "momentum_product")
UNTOUCHED: Final = {"step": 0.0, "beta1_power": 1.0, "beta2_power": 1.0, "momentum_product": 1.0}


def powers(step: float, betas: Mapping[str, float]) -> dict[str, float]:
    """The step count and the power of every named beta after that many updates.

    >>> powers(2.0, {"beta1_power": 0.5})
    {'step': 2.0, 'beta1_power': 0.25}
    """
    return {"step": step, **{name: beta**step for name, beta in betas.items()}}


def step_count(found: Mapping[str, float], betas: Mapping[str, float]) -> float:
    """How many updates made these powers, read off the one that falls slowest; NaN if none tells.

    >>> step_count({"beta1_power": 0.25}, {"beta1_power": 0.5})
    2.0
    """
    name = max(betas, key=lambda name: betas[name], default="")
    if not name or not (0.0 < betas[name] < 1.0 and found[name] > 0.0):
        return math.nan
    return float(round(math.log(found[name]) / math.log(betas[name])))
