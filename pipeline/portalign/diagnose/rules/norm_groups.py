"""The groups of channels that a norm takes together: group, instance or layer norm."""

from __future__ import annotations

from collections.abc import Iterable

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.families.norm import groups
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words


def _regroup(x: Numbers, n_groups: Value, _reading: Reading) -> Numbers:
    return x.reshape(len(x), n_groups, -1)


def _values(reading: Reading, _chosen: Chosen) -> Iterable[Value]:
    own = reading.names.get("groups")
    if own is None:
        return ()
    return [n for n in groups(reading.view.target.shape) if n != int(own)]


def _tell(turned: Turned) -> Words:
    own = int(turned.reading.names["groups"])
    ours, theirs = (n or own for n in (turned.reference, turned.candidate))
    return Words(
        f"the norm takes its channels in {theirs} groups, the reference in {ours}",
        f"give the norm num_groups={ours}",
        {"reference groups": float(ours), "candidate groups": float(theirs)},
    )


RULE = Knob(
    name="norm-groups",
    line="a norm takes its channels in another number of groups (group, instance, layer norm)",
    families=("norm",),
    acts={"groups": _regroup},
    values=_values,
    tell=_tell,
    is_odd=True,
)
