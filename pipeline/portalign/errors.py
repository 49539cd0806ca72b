"""The errors portalign raises on purpose: each says what was found, why it stops us, what to do
next.

A verdict is a value and never an exception; an exception here always means exit code 2. Deep code
states the fact, the public edge adds where it happened with `PortalignError.within`.
"""

from __future__ import annotations

from typing import TypedDict, TypeVar

_E = TypeVar("_E", bound="PortalignError")


class ErrorFacts(TypedDict):
    """An error as plain data: how a child process hands it to its parent."""

    kind: str
    found: str
    why: str
    do: str
    where: list[str]


class PortalignError(Exception):
    """What was found against what was expected, why that stops us, and the next action.

    Args:
        found: the fact, with names, shapes and numbers.
        why: why portalign can't go on from there.
        do: the next thing to type or to change.
    """

    def __init__(self, found: str, *, why: str, do: str) -> None:
        super().__init__(found)
        self.found = found
        self.why = why
        self.do = do
        self.where: list[str] = []

    def within(self: _E, place: str) -> _E:
        """Add the place (side, step, tensor) the error happened in; outermost last."""
        self.where.append(place)
        return self

    def __str__(self) -> str:
        head = f"[{', '.join(reversed(self.where))}] {self.found}" if self.where else self.found
        return f"{head}\n  why it stops us: {self.why}\n  what to do:      {self.do}"

    def facts(self) -> ErrorFacts:
        """The error as JSON-ready data."""
        return ErrorFacts(
            kind=type(self).__name__,
            found=self.found,
            why=self.why,
            do=self.do,
            where=list(self.where),
        )


class PortFileError(PortalignError):
    """The port file can't be read or says something impossible."""


class InputError(PortalignError):
    """The batches a port yields, or a file the user named, can't be used."""


class TraceError(PortalignError):
    """A trace on disk is broken, foreign or incomplete."""


class MappingError(PortalignError):
    """Reference weights can't be carried to the candidate without guessing."""


class CaptureError(PortalignError):
    """A side could not be built or run."""


class ReportError(PortalignError):
    """A report or a log can't be written or read."""


_KINDS: dict[str, type[PortalignError]] = {
    kind.__name__: kind
    for kind in (
        PortalignError,
        PortFileError,
        InputError,
        TraceError,
        MappingError,
        CaptureError,
        ReportError,
    )
}


def error_from_facts(facts: ErrorFacts) -> PortalignError:
    """Rebuild an error that another process described with `PortalignError.facts`."""
    error = _KINDS.get(facts["kind"], PortalignError)(
        facts["found"], why=facts["why"], do=facts["do"]
    )
    error.where.extend(facts["where"])
    return error
