"""The eps of a norm: 1e-12 against 1e-5 moves a BERT by 5e-6 and passes every loose tolerance."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words
from portalign.diagnose.words import number


def _add(variance: Numbers, eps: Value, _reading: Reading) -> Numbers:
    added: Numbers = variance + eps
    return added


def _values(_reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    return (1e-5, 1e-6, 1e-12, 1e-8, 1e-3)


def _tell(turned: Turned) -> Words:
    reference, candidate = turned.reference or 0.0, turned.candidate or 0.0
    return Words(
        f"the norm's eps is {number(candidate)} where the reference has {number(reference)}",
        f"give the norm eps={reference:g} (paddle: epsilon={reference:g})",
        {"reference eps": reference, "candidate eps": candidate},
    )


RULE = Knob(
    name="norm-eps",
    line="the eps of a norm differs; both values are fitted",
    families=("norm", "batch-norm"),
    acts={"variance": _add},
    values=_values,
    tell=_tell,
    guesses=(0.0,),
    is_wide=True,
)
