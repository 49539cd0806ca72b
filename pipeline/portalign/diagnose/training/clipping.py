"""Read how a side clips gradients off what it made of each: together, each by itself, by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from portalign.compare.chain import Link
from portalign.diagnose.known.given import Given
from portalign.diagnose.known.updates import Numbers
from portalign.diagnose.training.arguments import plain
from portalign.findings import Part
from portalign.records import Kind, Role

_CLOSE: Final = 1e-9  # of coefficients between float64 twins


@final
@dataclass(frozen=True, slots=True)
class Clipped:
    """Gradients of one iteration, their norms, and what became of the norms; owners in order."""

    gradients: tuple[Numbers, ...]
    norms: Numbers
    coefficients: Numbers


def clipped_to(gradients: Sequence[Numbers], coefficients: Sequence[float]) -> Clipped:
    """The norms of gradients beside them."""
    norms = np.array([float(np.linalg.norm(each)) for each in gradients])
    return Clipped(tuple(gradients), norms, np.array(coefficients))


@final
@dataclass(frozen=True, slots=True)
class Clip:
    """How a side clips.

    Attributes:
        kind: "none", "norm" of all together, "each" by its own norm, or "value".
        limit: of the norm, or of an element.
        eps: that is added to the norm.
    """

    kind: str
    limit: float = 0.0
    eps: float = 0.0

    @property
    def words(self) -> str:
        """What it does to gradients."""
        more = f", adding {self.eps:.6g} to it" if self.eps else ""
        return {
            "none": "doesn't clip",
            "norm": f"clips all gradients together to a norm of {self.limit:.6g}{more}",
            "each": f"clips each gradient by itself to a norm of {self.limit:.6g}{more}",
            "value": f"clips each element to {self.limit:.6g}",
        }[self.kind]

    def against(self, other: Clip) -> str:
        """Both in one sentence, this one the reference's."""
        if self.kind != other.kind:
            return f"the reference {self.words}, the candidate {other.words}"
        told = [
            f"{what} {ours:.6g} against {theirs:.6g}"
            for what, ours, theirs in (
                ("the limit", self.limit, other.limit),
                ("what is added to the norm", self.eps, other.eps),
            )
            if ours != theirs
        ]
        return f"the reference {self.words}; the candidate too, but {' and '.join(told)}"

    def coefficients(self, seen: Clipped) -> Numbers:
        """What it makes of the norms."""
        if self.kind == "none":
            return np.ones(len(seen.gradients))
        if self.kind == "value":
            return np.array([_by_value(each, self.limit) for each in seen.gradients])
        norms = seen.norms
        whole = np.full(len(norms), np.linalg.norm(norms)) if self.kind == "norm" else norms
        return np.asarray(np.minimum(1.0, self.limit / (whole + self.eps)))


def clipped(links: Sequence[Link], given: Given, role: Role) -> tuple[Clipped, ...]:
    """What a side made of the reference's gradients, iteration by iteration."""
    found: dict[int, list[tuple[Numbers, float]]] = {}
    for link in links:
        if link.part is not Part.CLIPPING or link.pair is None:
            continue
        path, _, slot = link.owner.rpartition(".")
        gradient = given.number(Kind.GRADIENT, path, slot, link.iteration)
        if gradient is not None:
            pair = link.pair
            array = pair.reference.array if role is Role.REFERENCE else pair.candidate_values()
            found.setdefault(link.iteration, []).append((gradient, float(array)))
    return tuple(clipped_to(*zip(*some, strict=True)) for some in found.values())


def read(seen: Sequence[Clipped]) -> Clip | None:
    """The simplest clip that makes all coefficients; None where none does."""
    return next((clip for clip in _guesses(seen) if misfit(clip, seen) <= _CLOSE), None)


def misfit(clip: Clip, seen: Sequence[Clipped]) -> float:
    """The greatest relative distance of a coefficient to what the clip makes; inf for NaN."""
    found = [np.abs(clip.coefficients(one) / one.coefficients - 1.0).max() for one in seen]
    return float(np.nan_to_num(max(found, default=np.inf), nan=np.inf))


def _guesses(seen: Sequence[Clipped]) -> Iterator[Clip]:
    yield Clip("none")
    wholes = {float(np.linalg.norm(one.norms)): float(one.coefficients[0]) for one in seen}
    each = {
        float(n): float(c) for one in seen for n, c in zip(one.norms, one.coefficients, strict=True)
    }
    for kind, shares in (("norm", wholes), ("each", each)):
        bound = [(n, c) for n, c in shares.items() if 0.0 < c < 1.0]
        if len(bound) < 2:  # one is made by any limit
            continue
        norm, share = bound[0]
        yield Clip(kind, plain("limit", norm * share))
        if len(bound) > 2:  # limit - share eps = share norm
            norms, parts = np.array(bound).T
            table = np.stack([np.ones(len(bound)), -parts], axis=1)
            limit, eps = np.linalg.lstsq(table, norms * parts, rcond=None)[0]
            yield Clip(kind, plain("limit", float(limit)), plain("eps", float(eps)))
    cut = [
        (float(share), gradient)
        for one in seen
        for gradient, share in zip(one.gradients, one.coefficients, strict=True)
        if share < 1.0
    ]
    if len(cut) > 1:
        share, gradient = min(cut, key=lambda pair: pair[0])
        yield Clip("value", plain("limit", _limit(gradient, share)))


def _by_value(gradient: Numbers, limit: float) -> float:
    size = float(np.linalg.norm(gradient))
    return float(np.linalg.norm(np.clip(gradient, -limit, limit))) / size if size else 1.0


def _limit(gradient: Numbers, share: float) -> float:
    """The limit of elements that leaves this share of the norm."""
    low, high = 0.0, float(np.abs(gradient).max())
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _by_value(gradient, middle) < share else (low, middle)
    return (low + high) / 2


def shown(ours: Clip, theirs: Clip) -> Mapping[str, float]:
    """Both limits and eps as named values."""
    found = {"reference limit": ours.limit, "candidate limit": theirs.limit}
    found |= {"reference eps": ours.eps, "candidate eps": theirs.eps}
    return {name: value for name, value in found.items() if value}
