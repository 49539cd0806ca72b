"""What code between modules makes: a function of a sum of functions of earlier tensors.

Residual sums, embeddings added up, scaled branches and activations around them all have this form.
The simplest expression is searched for each side by itself; few terms come first, then few
coefficients that aren't 1, then few functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import final

import numpy as np

from portalign.diagnose.confirm import needed, relative
from portalign.diagnose.evidence import Numbers, Site, Source, View, everything
from portalign.diagnose.functions import FUNCTIONS
from portalign.diagnose.words import nice

N_NEAR = 20  # earlier tensors that a sum may take, nearest first
N_TERMS = 3
_IDENTITY = "identity"
_INNER = ("relu", "gelu (erf)", "gelu (tanh)", "silu (swish)", "tanh", "sigmoid")
_OUTER = ("relu", "tanh", "sigmoid", "relu6", "gelu (erf)", "silu (swish)")
# A Gram matrix of float64 tells a residual only down to the root of its rounding: what looks like
# an exact fit is computed again.
_LOOKS_EXACT = 1e-10


@final
@dataclass(frozen=True, slots=True)
class Term:
    """A coefficient times a function of an earlier tensor."""

    source: str
    coefficient: float = 1.0
    function: str = _IDENTITY

    def __str__(self) -> str:
        inner = self.source if self.function == _IDENTITY else f"{self.function} of {self.source}"
        return inner if self.coefficient == 1.0 else f"{self.coefficient:.6g} x {inner}"


@final
@dataclass(frozen=True, slots=True)
class Expression:
    """A function of a sum of terms; terms in the order of their names."""

    terms: tuple[Term, ...]
    function: str = _IDENTITY

    def __str__(self) -> str:
        text = " + ".join(map(str, self.terms)) or "zero"
        return text if self.function == _IDENTITY else f"{self.function} of ({text})"

    @property
    def sources(self) -> frozenset[str]:
        """Names of the tensors in it."""
        return frozenset(term.source for term in self.terms)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Expressions:
    """Both sides' expressions over the same tensors."""

    reference: Expression
    candidate: Expression
    tensors: dict[str, Numbers]
    types: dict[str, str]  # name -> class of the module it comes from

    def evaluate(self, expression: Expression, shape: tuple[int, ...]) -> Numbers:
        """What an expression makes."""
        total = np.zeros(shape)
        for term in expression.terms:
            values = FUNCTIONS[term.function](self.tensors[term.source])
            total = total + term.coefficient * values
        return FUNCTIONS[expression.function](total)


@lru_cache(maxsize=2)
def expressions(site: Site) -> Expressions | None:
    """Both sides' simplest expressions; None where one has none or both have the same."""
    shape = site.reference.target.shape
    if site.candidate.target.shape != shape:
        return None
    # Then what one side alone has a module for, or what the reference makes only later.
    pools = [_fitting(site.shared(), shape), _fitting(everything(site), shape)]
    for pool in pools:
        tensors = {source.name: np.asarray(source.array, np.float64) for source in pool}
        found = [
            next(_explaining(view, tensors, needed(site)), None)
            for view in (site.reference, site.candidate)
        ]
        if found[0] is not None and found[1] is not None and found[0] != found[1]:
            types = {source.name: source.module_type for source in pool}
            return Expressions(found[0], found[1], tensors, types)
    return None


def _fitting(sources: Sequence[Source], shape: tuple[int, ...]) -> list[Source]:
    """Tensors of numbers that can be added to one of a shape without growing it."""
    found = []
    for source in sources:
        array = source.array
        if array.dtype.kind in "iub" or not array.ndim or array.ndim > len(shape):
            continue
        tail = shape[len(shape) - array.ndim :]
        is_row = array.ndim >= min(2, len(shape)) and array.shape[-1] == shape[-1]
        if is_row and all(n in (1, m) for n, m in zip(array.shape, tail, strict=True)):
            found.append(source)
    return found[:N_NEAR]


def _explaining(view: View, tensors: dict[str, Numbers], good: float) -> Iterator[Expression]:
    """Expressions that make what a view made, the simplest first."""
    target = view.target
    if not target.any():
        yield Expression(())
        return
    yield from _sums(target, tensors, dict.fromkeys(tensors, _IDENTITY), good, N_TERMS)
    for function in _OUTER:
        yield from _under(function, target, tensors, good)
    inner = dict(list(tensors.items())[: N_NEAR // 2])
    for function in _INNER:
        derived = {f"{function} {name}": FUNCTIONS[function](a) for name, a in inner.items()}
        functions = dict.fromkeys(tensors, _IDENTITY) | dict.fromkeys(derived, function)
        yield from _sums(target, tensors | derived, functions, good, 2)


def _under(
    function: str, target: Numbers, tensors: dict[str, Numbers], good: float
) -> Iterator[Expression]:
    """A function of a plain sum: the sum is fitted where the function can be undone."""
    where, undone = _undone(function, target)
    if where is None or np.count_nonzero(where) < 2 * N_TERMS:
        return
    wide = {name: np.broadcast_to(a, target.shape)[where] for name, a in tensors.items()}
    functions = dict.fromkeys(wide, _IDENTITY)
    for inner in _sums(undone[where], wide, functions, max(good, 1e-9), N_TERMS):
        found = Expression(inner.terms, function)
        total = sum(t.coefficient * tensors[t.source] for t in found.terms)
        made = FUNCTIONS[function](np.broadcast_to(np.asarray(total), target.shape))
        if relative(made, target) <= good:
            yield found


def _undone(function: str, target: Numbers) -> tuple[np.ndarray | None, Numbers]:
    """Where a function can be undone, and its argument there."""
    with np.errstate(all="ignore"):
        if function == "relu":
            return target > 0, target
        if function == "relu6":
            return (target > 0) & (target < 6), target
        if function == "tanh":
            return np.abs(target) < 0.9, np.arctanh(target)
        if function == "sigmoid":
            return (target > 0.05) & (target < 0.95), np.log(target / (1.0 - target))
    return None, target


def _sums(
    target: Numbers,
    tensors: dict[str, Numbers],
    functions: dict[str, str],
    good: float,
    n_terms: int,
) -> Iterator[Expression]:
    """Weighted sums of tensors that make a target: fewest terms first, plain ones before scaled."""
    names = list(tensors)
    flat = [np.broadcast_to(tensors[name], target.shape).ravel() for name in names]
    if not flat:
        return
    rows = np.stack(flat)
    if not np.isfinite(rows).all() or not np.isfinite(target).all():
        return
    gram, along = rows @ rows.T, rows @ target.ravel()
    size = float(target.ravel() @ target.ravel())
    for n in range(1, n_terms + 1):
        for chosen, weights in _weights(gram, along, n, size):
            for each in _simple(weights):
                total = np.tensordot(each, rows[list(chosen)], axes=1)
                if relative(total, target.ravel()) <= good:
                    yield _expression(each, [names[i] for i in chosen], functions)
                    break


def _weights(
    gram: Numbers, along: Numbers, n_terms: int, size: float
) -> Iterator[tuple[list[int], Numbers]]:
    """Least-squares weights of all choices of so many rows, where they leave hardly anything."""
    chosen = np.array(list(combinations(range(len(gram)), n_terms)), int)
    if not len(chosen):
        return
    parts = gram[chosen[:, :, None], chosen[:, None, :]]  # [choices, terms, terms]
    sides = along[chosen]
    scale = np.prod(np.diagonal(parts, axis1=1, axis2=2), axis=1)
    with np.errstate(all="ignore"):
        is_open = np.abs(np.linalg.det(parts)) > 1e-12 * scale  # no two rows alike
    chosen, parts, sides = chosen[is_open], parts[is_open], sides[is_open]
    weights = np.linalg.solve(parts, sides[..., None])[..., 0]
    left = np.abs(size - (weights * sides).sum(axis=1))
    is_near = (left <= _LOOKS_EXACT * size) & (np.abs(weights) > 1e-6).all(axis=1)
    for at in np.flatnonzero(is_near):
        yield [int(i) for i in chosen[at]], np.asarray(weights[at], np.float64)


def _simple(weights: Numbers) -> Iterator[Numbers]:
    """All plain numbers near the fitted ones, then the fitted ones."""
    yield np.array([next(nice(float(weight))) for weight in weights])
    yield weights


def _expression(weights: Numbers, names: Sequence[str], functions: dict[str, str]) -> Expression:
    terms = []
    for weight, name in zip(weights, names, strict=True):
        function = functions[name]
        source = name if function == _IDENTITY else name.removeprefix(f"{function} ")
        terms.append(Term(source, float(weight), function))
    return Expression(tuple(sorted(terms, key=lambda term: (term.source, term.function))))
