"""What kinds of random numbers there are, and whose code draws them.

A framework's own folder intercepts its draws and hands them to a `base.Source`; which module's code
makes one is told by the doors that are open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from portalign.frameworks.watching import GradientHooks

KEEP = "keep"  # bool: what dropout leaves standing; terms: the probability to stay
UNIFORM = "uniform"  # terms: low, high
NORMAL = "normal"  # terms: mean, deviation
VARIES = -1.0  # stands for a term that differs from element to element


@final
class Whereabouts:
    """A keeper that only remembers which module is running."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self.hooks = GradientHooks()

    @property
    def path(self) -> str:
        """Path of the innermost module that runs; "" outside of all."""
        return self._open[-1] if self._open else ""

    def enter(
        self, path: str, module_type: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """A module is about to run."""
        self._open.append(path)

    def leave(self, path: str, module_type: str, output: object) -> None:
        """A module has run; one that raised never left and is dropped."""
        while self._open and self._open.pop() != path:
            pass
