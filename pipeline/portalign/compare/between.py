"""What the reference runs where an origin lies between modules: modules that the other side lacks.

A candidate that calls a function where the reference has a module leaves that module without a
partner. Its name says more than that of the code around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from portalign.compare.grafts import Grafted, forward_label
from portalign.records import Kind, Precision, TensorRecord, Trace


def inside_glue(
    grafted: Sequence[Grafted], reference: Trace, named: Sequence[str]
) -> tuple[str, ...]:
    """One sentence per origin in glue in which modules of the reference alone run.

    Args:
        grafted: what `compare_grafted` found.
        reference: the reference's trace.
        named: the origins, as `origins` names them.
    """
    forward = [one for one in grafted if one.key.kind is Kind.ACTIVATION]
    paths = {one.key.path for one in forward}
    alone = _alone(reference, paths)
    found: dict[str, str] = {}
    before, start = "", -1
    for one in forward:
        key, end = one.key, one.pair.reference.order
        label = forward_label(one, paths, before)
        if one.is_wrong and label.startswith("glue ") and label in named and label not in found:
            inner = [record for record in alone if start < record.order < end]
            found[label] = _sentence(one, before, inner)
        if key.slot.startswith("out."):
            before, start = key.path, end
    return tuple(filter(None, found.values()))


def _alone(reference: Trace, paths: set[str]) -> list[TensorRecord]:
    """Outputs of the innermost modules without a partner, save those that hand on their input."""
    return [
        record
        for record in reference.records
        if record.key.kind is Kind.ACTIVATION
        and record.key.slot.startswith("out.")
        and record.key.precision is Precision.NATIVE
        and not record.key.iteration
        and record.alias_of is None
        and record.key.path not in paths
        and not _holds_modules(reference, record.key.path)
    ]


def _holds_modules(reference: Trace, path: str) -> bool:
    modules = (
        reference.info.structure.modules if reference.info and reference.info.structure else ()
    )
    return any(module.path.startswith(f"{path}.") for module in modules)


def _sentence(one: Grafted, before: str, inner: Sequence[TensorRecord]) -> str:
    if not inner:
        return ""
    names = dict.fromkeys(f"{record.key.path} ({record.module_type})" for record in inner)
    path = one.key.path or "(root)"
    end = path if one.key.slot.startswith("in.") else f"the end of {path}"
    start = f"between {before} and {end}" if before else f"before {end}"
    return f"{start} the reference runs {', '.join(names)}, which the candidate has no module for"
