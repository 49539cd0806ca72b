"""The language a report is written in: English is what the code says, others look it up."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], str]


def english(text: str) -> str:
    """The text as it is."""
    return text
