"""Unbiased variance: `x.std()` divides by n - 1 where norms divide by n."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _unbias(variance: Numbers, _is_on: Value, reading: Reading) -> Numbers:
    n = reading.tensors["x"].shape[-1]
    unbiased: Numbers = variance * (n / (n - 1))
    return unbiased


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (True,) if reading.tensors["x"].shape[-1] > 1 else ()


def _tell(turned: Turned) -> Words:
    n = turned.reading.tensors["x"].shape[-1]
    side, other = ("candidate", "reference") if turned.candidate else ("reference", "candidate")
    return Words(
        f"the {side}'s norm divides the variance by n - 1 = {n - 1}, the {other}'s by n = {n}",
        "take the variance with unbiased=False" if turned.candidate else "use unbiased=True",
    )


RULE = Knob(
    name="norm-variance",
    line="the variance of a norm is unbiased (n - 1) on one side only",
    families=("norm",),
    acts={"variance": _unbias},
    values=_values,
    tell=_tell,
    neutral=False,
)
