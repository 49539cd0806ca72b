"""A recurrent layer through whose steps no gradient goes back: truncated after each one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from portalign.diagnose.confirm import Cause, Proposal
from portalign.diagnose.evidence import Numbers, Site
from portalign.diagnose.rule import Rule
from portalign.diagnose.through_time import Run, gradients
from portalign.findings import OriginKind

_NAME = re.compile(r"((?:weight|bias)_(?:ih|hh))_l0(_reverse)?")
_CUTS = {
    "the hidden state": {"is_cut": True},
    "the hidden state and the cell": {"is_cut": True, "is_cell_cut": True},
}


def _propose(site: Site) -> Iterator[Proposal]:
    found = _NAME.fullmatch(site.origin.slot)
    run = _run(site, found.group(2) or "") if found else None
    if found is None or run is None:
        return
    whole = gradients(run)[found.group(1)]
    for what, cut in _CUTS.items():
        part = gradients(run, **cut)[found.group(1)]
        if np.array_equal(part, whole):
            continue
        for side, other, made in (
            ("candidate", "reference", (part, whole)),
            ("reference", "candidate", (whole, part)),
        ):
            cause = Cause(
                "gradient-truncated",
                f"in the {side} no gradient goes from a step to {what} of the step before, in the "
                f"{other} it does",
                f"detach {what} between the steps exactly where the reference does",
            )
            yield Proposal((cause,), modelled=made[0], repaired=made[1])


def _run(site: Site, suffix: str) -> Run | None:
    """The direction of the layer that a weight belongs to."""
    path = site.origin.path
    sources = {s.name: np.asarray(s.array, np.float64) for s in site.reference.earlier}
    weights = {
        name: np.asarray(values, np.float64)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        if (values := site.reference.state.get(f"{path}.{name}_l0{suffix}")) is not None
    }
    x, given = sources.get(f"{path} in.0"), sources.get(f"grad {path} out.0")
    if x is None or given is None or "weight_hh" not in weights or x.ndim != 3:
        return None
    n_hidden, is_back = weights["weight_hh"].shape[1], bool(suffix)
    given = given[..., -n_hidden:] if is_back else given[..., :n_hidden]

    shape = (len(x), n_hidden)

    def one(*names: str) -> Numbers:
        for values in (sources[name] for name in names if name in sources):
            if values.ndim == 3 and values.shape[1:] == shape:
                return np.asarray(values[-1 if is_back else 0])
        return np.zeros(shape)

    return Run(
        x[:, ::-1] if is_back else x,
        hidden=one(f"{path} in.1", f"{path} in.1.0"),
        cell=one(f"{path} in.1.1"),
        given=given[:, ::-1] if is_back else given,
        last=one(f"grad {path} out.1", f"grad {path} out.1.0"),
        last_cell=one(f"grad {path} out.1.1"),
        weights=weights,
    )


RULE = Rule(
    name="gradient-truncated",
    line="no gradient goes back from step to step of a recurrent layer (truncated, detached)",
    kinds=frozenset({OriginKind.BACKWARD}),
    propose=_propose,
)
