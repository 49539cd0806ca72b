"""Factors of the learning rate, for schedules that one side steps otherwise."""

from __future__ import annotations


def decay(step: int) -> float:
    return 0.9**step


def ahead(step: int) -> float:
    """A scheduler that is stepped before the optimizer."""
    return decay(step + 1)


def still(step: int) -> float:
    """A scheduler that is never stepped."""
    return 1.0
