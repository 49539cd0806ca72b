"""When an LR scheduler is stepped and with what, and its parts that are a formula or a function.

The same for both frameworks: what a scheduler is made of is theirs, its pace is the port file's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from portalign.equivalents.arguments import resolve
from portalign.equivalents.rows import Area
from portalign.equivalents.schedules import rate
from portalign.errors import CaptureError
from portalign.functions import call_function
from portalign.request import Json, Spec


def pace(scheduler: Any | None, spec: Spec | None) -> Callable[[], None]:
    """What ends a training iteration for a scheduler; nothing where there is none.

    With ``every: epoch`` it steps once in so many iterations, and with ``metrics`` each step gets
    the next of them. When called: raises CaptureError where the metrics have run out.
    """
    if scheduler is None or spec is None:
        return lambda: None
    arguments = resolve(Area.LR_SCHEDULER, spec)
    per_step, metrics = arguments["iterations_per_epoch"] or 1, arguments.get("metrics")
    n_ended = 0

    def end_iteration() -> None:
        nonlocal n_ended
        n_ended += 1
        if n_ended % per_step:
            return
        if metrics is None:
            scheduler.step()
            return
        n_steps = n_ended // per_step
        if n_steps > len(metrics):
            raise CaptureError(
                f"{len(metrics)} metrics for {n_steps} steps of {spec.name}",
                why="each of its steps looks at the next metric",
                do="list more `metrics:` under `lr_scheduler:`, or lower `total` or `iterations`",
            )
        scheduler.step(metrics[n_steps - 1])

    return end_iteration


@contextmanager
def built(spec: Spec, framework: str) -> Iterator[None]:
    """Say whose refusal it is when a framework's own scheduler doesn't take its arguments."""
    try:
        yield
    except (ValueError, TypeError, AssertionError, ZeroDivisionError) as err:
        raise CaptureError(
            f"{framework} refuses lr_scheduler {spec.name!r}: {err}",
            why="both sides need a schedule of these arguments",
            do="change them under `lr_scheduler:` in the port file, or give functions of your own",
        ) from err


def lr_factor(name: str, arguments: Mapping[str, Json], base_lr: float) -> Callable[[int], float]:
    """The formula of a named schedule as a factor of the base LR, for a lambda scheduler."""
    size = base_lr or 1.0  # of a base LR of 0 every factor gives 0
    return lambda step: rate(name, arguments, base_lr=size, step=step) / size


def rate_function(reference: str) -> Callable[[int], float]:
    """A porter's ``fn(step)``, its result checked to be a finite number."""

    def factor(step: int) -> float:
        value = call_function(reference, step)
        if isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
        raise CaptureError(
            f"{reference} returned {value!r} at step {step}, not a finite number",
            why="the learning rate is multiplied by it",
            do="return a number from that function",
        )

    return factor
