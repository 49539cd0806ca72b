"""All pairs of a step as compact columns, and the two module trees they belong to.

The page shows 50,000 tensors, so what it gets is arrays of numbers and of indices into lists of
distinct texts, not one object per pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

from portalign.records import Kind, SideInfo, TensorKey
from portalign.report.codec import Json
from portalign.report.figures import relative
from portalign.report.plain import plain
from portalign.results import Comparison, Measurement, StepReport

ROOT = "(root)"
# Kinds that belong to no module stand in the tree as groups of their own.
_GROUPS = {
    Kind.INPUT: "inputs",
    Kind.OUTPUT: "outputs",
    Kind.PREDICTION: "predictions",
    Kind.METRIC: "metrics",
    Kind.LR: "learning rate",
    Kind.LOSS: "loss",
    Kind.DENOMINATOR: "loss",
    Kind.GRADIENT_NORM: "gradient norms",
}


@dataclass(frozen=True, slots=True)
class Tree:
    """One side's modules below the groups, parents before children.

    Attributes:
        names: last part of each path, or the group's name.
        types: class names; "" for groups.
        parents: index of the node above, -1 at the top.
        groups: group name -> node.
        modules: module path -> node.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    parents: tuple[int, ...]
    groups: dict[str, int]
    modules: dict[str, int]

    def node(self, key: TensorKey) -> int:
        """The node a tensor belongs to: its group, its module, or the nearest module around it."""
        if key.kind in _GROUPS:
            return self.groups[_GROUPS[key.kind]]
        return self.module(key.path)

    def module(self, path: str) -> int:
        """The node of a path or of the nearest module around it; -1 in a tree without modules.

        >>> tree(None, []).module("encoder.0")
        -1
        """
        nearest = path if path in self.modules else _above(path, self.modules)
        return -1 if nearest is None else self.modules[nearest]

    def encoded(self) -> Json:
        """As the page gets it."""
        return {"names": self.names, "types": self.types, "parents": self.parents}


def tree(side: SideInfo | None, keys: Iterable[TensorKey]) -> Tree:
    """The tree of a side: groups of the kinds among these keys, then modules.

    A side without a structure (a step that builds no model) has groups only, and a module for each
    path that is named all the same.
    """
    wanted = list(keys)
    kinds = {key.kind for key in wanted}
    groups = list(dict.fromkeys(name for kind, name in _GROUPS.items() if kind in kinds))
    names, types, parents = list(groups), ["" for _ in groups], [-1 for _ in groups]
    modules: dict[str, int] = {}
    for path, kind in _modules(side, wanted):
        above = _above(path, modules)
        modules[path] = len(names)
        names.append(plain(path.removeprefix(f"{above}.")) or ROOT)
        types.append(plain(kind))
        parents.append(-1 if above is None else modules[above])
    return Tree(
        tuple(names),
        tuple(types),
        tuple(parents),
        {name: at for at, name in enumerate(groups)},
        modules,
    )


def _above(path: str, modules: Container[str]) -> str | None:
    """The nearest module around a path, None for a root."""
    while path:
        path = path.rpartition(".")[0]
        if path in modules:
            return path
    return None


def _modules(side: SideInfo | None, keys: Sequence[TensorKey]) -> list[tuple[str, str]]:
    """Path and type of every module, parents first."""
    if side is not None and side.structure is not None:
        return [(module.path, module.type) for module in side.structure.modules]
    return sorted({(key.path, "") for key in keys if key.kind not in _GROUPS})


def columns(
    report: StepReport, trees: Sequence[Tree], origins: Container[int], say: Callable[[str], str]
) -> Json:
    """Every comparison of a step, one list per field, in the report's order.

    Args:
        trees: of reference and candidate.
        origins: rows that show an origin, whatever its name is.
        say: puts a reason into the reader's language.
    """
    comparisons = report.comparisons
    places = _places(report, origins)
    natives = [one.native for one in comparisons]
    measured = [_measured(native) for native in natives]
    numbers = [_numbers(one) for one in comparisons]
    return {
        "label": [plain(one.label) for one in comparisons],
        "reason": [plain(say(one.reason)) for one in comparisons],
        "order": [one.order for one in comparisons],
        "kind": indexed(one.key.kind.value for one in comparisons),
        "verdict": indexed(one.verdict.value for one in comparisons),
        "basis": indexed(one.basis.value for one in comparisons),
        "outcome": indexed(one.outcome.value for one in comparisons),
        "place": indexed(places),
        "how": indexed(plain(say(one.how_paired)) for one in comparisons),
        "type": indexed(plain(one.module_type) for one in comparisons),
        "reference": [trees[0].node(one.key) for one in comparisons],
        "candidate": [trees[1].node(one.candidate_key) for one in comparisons],
        "candidate_name": indexed(plain(one.candidate_key.name) for one in comparisons),
        "shapes": indexed(_both(m.shape_reference, m.shape_candidate) for m in natives),
        "dtypes": indexed(_both(m.dtype_reference, m.dtype_candidate) for m in natives),
        "worst_index": indexed(str(list(native.worst_index)) for native in natives),
        **{name: [row[at] for row in numbers] for at, name in enumerate(_NUMBERS)},
        **{name: [row[at] for row in measured] for at, name in enumerate(_MEASURED)},
    }


_NUMBERS = ("rel", "twin", "own_reference", "own_candidate", "used", "allowed", "norm")
_MEASURED = (
    "max_abs",
    "mean_abs",
    "max_ulp",
    "cosine",
    "n_elements",
    "n_mismatched",
    "n_bad",
    "worst_reference",
    "worst_candidate",
)


def _numbers(one: Comparison) -> tuple[Json, ...]:
    """In the order of `_NUMBERS`; relative ones in units of the reference's norm."""
    _, _, *own = relative(one)
    return (
        number(one.native.rel_frobenius),
        number(one.twin.rel_frobenius if one.twin else None),
        *(number(value) for value in own),
        number(one.used),
        number(one.allowed),
        number(one.native.norm_reference),
    )


def _measured(native: Measurement) -> tuple[Json, ...]:
    """In the order of `_MEASURED`."""
    return (
        number(native.max_abs),
        number(native.mean_abs),
        number(native.max_ulp, digits=4),
        number(native.cosine, digits=12),
        native.n_elements,
        native.n_mismatched,
        native.n_nonfinite_mismatched,
        number(native.worst_reference, digits=9),
        number(native.worst_candidate, digits=9),
    )


def number(value: float | None, *, digits: int = 4) -> Json:
    """A number with as many digits as are shown; "nan", "inf" and None stay what they are.

    >>> number(1.23456e-7), number(float("inf")), number(None)
    (1.235e-07, 'inf', None)
    """
    if value is None:
        return None
    if not math.isfinite(value):
        return str(value)
    return 0 if value == 0 else float(f"{value:.{digits}g}")


def indexed(texts: Iterable[str]) -> Json:
    """A column of few distinct texts: the texts, and for every row which of them."""
    seen: dict[str, int] = {}
    rows = [seen.setdefault(text, len(seen)) for text in texts]
    return {"texts": list(seen), "rows": rows}


def _places(report: StepReport, origins: Container[int]) -> list[str]:
    """Of every comparison: "origin", "inherited", "unresolved" or ""."""
    named = dict.fromkeys(report.divergence.inherited, "inherited")
    named |= dict.fromkeys(report.divergence.unresolved, "unresolved")
    return [
        "origin" if row in origins else named.get(one.label, "")
        for row, one in enumerate(report.comparisons)
    ]


def _both(reference: object, candidate: object) -> str:
    """Both sides' value, once where they agree."""
    first, second = _text(reference), _text(candidate)
    return first if first == second else f"{first} → {second}"


def _text(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else plain(str(value))
