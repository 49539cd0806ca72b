"""What a candidate's own weights are of the reference's: paired ones, and those without a partner.

Reads initial parameters only. A matrix without a partner is looked for among the reference's, their
thirds (packed query, key and value) and their transposes, and named only where a transform of one
of them gives it by number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from portalign.diagnose.evidence import Evidence
from portalign.diagnose.transforms import Numbers, Transform, of_bias, of_matrix, of_order
from portalign.mapping.pair import Pair
from portalign.records import Kind, Precision, TensorKey, TensorRecord


@final
@dataclass(frozen=True, slots=True)
class OwnWeights:
    """The initial state of both sides, and what could have been folded.

    Attributes:
        initial: the reference's parameters.
        norms: weights of its norms by name.
        n_vocabulary: length of the outputs' last axis.
    """

    evidence: Evidence
    initial: dict[TensorKey, TensorRecord]
    norms: dict[str, Numbers]
    n_vocabulary: int

    @staticmethod
    def of(evidence: Evidence, *, n_vocabulary: int) -> OwnWeights:
        """Gather them from a step's evidence."""
        initial = {
            r.key: r
            for r in evidence.reference.records
            if r.key.kind is Kind.PARAMETER
            and not r.key.iteration
            and r.key.precision is Precision.NATIVE
        }
        norms = {
            r.key.name: _numbers(r)
            for r in initial.values()
            if r.array.ndim == 1 and _is_norm(r) and "bias" not in r.key.slot
        }
        return OwnWeights(evidence, initial, norms, n_vocabulary)

    def change(self, pair: Pair) -> Transform | None:
        """What was done to a paired parameter."""
        original = np.asarray(pair.reference.array, np.float64)
        target = np.asarray(pair.candidate_values(), np.float64)
        return self._rewritten(pair, original, target) or of_order(original, target)

    def _rewritten(self, pair: Pair, original: Numbers, target: Numbers) -> Transform | None:
        if original.ndim == 2:
            return of_matrix(original, target, self.norms, n_vocabulary=self.n_vocabulary)
        if original.ndim != 1:
            return None
        if _is_norm(pair.reference):
            return _folded_away(target)
        return of_bias(original, target, self._through(pair))

    def _through(self, pair: Pair) -> list[tuple[str, Numbers]]:
        """What each vector of the block adds to a bias behind the bias's own weight."""
        key = pair.reference.key
        weight = self._matrix(key.path)
        if weight is None:
            return []
        vectors = self._vectors(block(key.path))
        vectors.pop(key.name, None)
        return [
            (name, out)
            for name, vector in vectors.items()
            for out in _behind(vector, weight, n_out=len(pair.reference.array))
        ]

    def _vectors(self, where: str) -> dict[str, Numbers]:
        """What a block can fold into a bias: its vectors, what a norm's bias makes of another bias,
        and thirds of both (packed query, key and value).
        """
        near = [r for r in self.initial.values() if block(r.key.path) == where]
        flat = {r.key.name: r for r in near if r.array.ndim == 1}
        found = {name: _numbers(record) for name, record in flat.items()}
        shifts = [r for r in flat.values() if _is_norm(r) and "bias" in r.key.slot]
        for name, record in flat.items():
            weight = self._matrix(record.key.path)
            if weight is None or _is_norm(record):
                continue
            for shift in shifts:
                for added in _behind(_numbers(shift), weight, n_out=len(record.array)):
                    found[f"{name} with {shift.key.name}"] = _numbers(record) + added
        for name, vector in list(found.items()):
            if len(vector) % 3 == 0:
                for at, third in enumerate(np.split(vector, 3)):
                    found[f"third {at + 1} of {name}"] = third
        return found

    def _matrix(self, path: str) -> Numbers | None:
        owned = [r for r in self.initial.values() if r.key.path == path and r.array.ndim == 2]
        return _numbers(owned[0]) if len(owned) == 1 else None

    def unmatched(self) -> Iterator[tuple[str, str, Transform]]:
        """Candidate matrices without a partner that some reference matrix was rewritten into."""
        pairing = self.evidence.pairing
        taken = {r.key for p in pairing.pairs for r in (p.candidate, *p.others)}
        ours = [r for r in self.initial.values() if r.array.ndim == 2]
        for record in self.evidence.candidate.records:
            key = record.key
            is_state = key.kind is Kind.PARAMETER and not key.iteration and key not in taken
            if not is_state or record.array.ndim != 2 or key.precision is not Precision.NATIVE:
                continue
            found = self._source(record, ours)
            if found:
                yield (key.name, *found)

    def _source(
        self, record: TensorRecord, ours: Sequence[TensorRecord]
    ) -> tuple[str, Transform] | None:
        target = _numbers(record)
        layer = _layer(record)
        for each in sorted(ours, key=lambda one: _layer(one) != layer):  # mostly found in its own
            for name, original in _oriented(each, target.shape):
                found = of_matrix(original, target, self.norms, n_vocabulary=self.n_vocabulary)
                if found:
                    return name, found
        return None


def _layer(record: TensorRecord) -> list[str]:
    """The numbers in its path."""
    return re.findall(r"\d+", record.key.path)


def block(path: str) -> str:
    """The layer a module belongs to: its path up to the last number; "" if there is none.

    >>> block("h.3.attn.c_proj"), block("ln_f")
    ('h.3', '')
    """
    parts = path.split(".")
    ends = [at + 1 for at, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: ends[-1]]) if ends else ""


def _behind(vector: Numbers, weight: Numbers, *, n_out: int) -> Iterator[Numbers]:
    """The vector behind a matrix, in each order of axes that fits."""
    if weight.shape == (len(vector), n_out):
        yield vector @ weight
    if weight.shape == (n_out, len(vector)):
        yield weight @ vector


def _is_norm(record: TensorRecord) -> bool:
    return "norm" in record.module_type.lower()


def _oriented(record: TensorRecord, shape: tuple[int, ...]) -> Iterator[tuple[str, Numbers]]:
    """A matrix, its thirds and their transposes, as far as the shape fits."""
    name, values = record.key.name, record.array
    views = [(name, values)]
    for axis in (0, 1):
        if values.shape[axis] % 3 == 0:
            thirds = np.split(values, 3, axis)
            views += [(f"third {i + 1} of {name}", third) for i, third in enumerate(thirds)]
    for label, view in views:
        if view.shape == shape:
            yield label, np.asarray(view, np.float64)
        if view.shape[::-1] == shape:
            yield f"{label} transposed", np.asarray(view, np.float64).T


def _folded_away(target: Numbers) -> Transform | None:
    """A norm's own parameter that became a no-op: all ones for a weight, all zeros for a bias."""
    for value, word in ((1.0, "ones"), (0.0, "zeros")):
        if np.array_equal(target, np.full_like(target, value)):
            return Transform(("a norm without its own parameters",), f"all {word}", 0.0)
    return None


def _numbers(record: TensorRecord) -> Numbers:
    return np.asarray(record.array, np.float64)
