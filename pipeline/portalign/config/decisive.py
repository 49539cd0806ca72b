"""What of a port decides a step's captures, and where two ports differ in it.

Works on the plain data of `Port.as_dict`, so that a port saved with a run compares like one that
was just read.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from portalign.records import Role, Step
from portalign.request import Json

# The tolerance judges captures and the rest can't change a result.
_NOWHERE = ("file", "parallel", "probe", "tolerance")
_TRAINING = ("iterations", "accumulate", "record")
_UNUSED: dict[Step, tuple[str, ...]] = {
    Step.FORWARD: ("loss", "optimizer", "lr_scheduler", "metrics", *_TRAINING),
    Step.METRIC: ("loss", "optimizer", "lr_scheduler", *_TRAINING, "mode"),
    Step.LR_SCHEDULER: ("loss", "metrics", "record", "accumulate"),
    Step.BACKWARD: ("metrics",),
}


def unused(step: Step) -> tuple[str, ...]:
    """Entries of a port file that a step makes nothing of."""
    return _UNUSED[step]


def decisive(data: Mapping[str, Json], step: Step) -> dict[str, Json]:
    """The part of a port that decides what a step captures, equal wherever the port lies.

    Args:
        data: `Port.as_dict`, perhaps read back from a report.
        step: entries that this step doesn't use are left out; so are the port file's own place,
            the interpreters' paths, `parallel:`, `probe:`, `tolerance:`, and for the backward step
            the scheduler's `probe`.
    """
    kept = {key: data[key] for key in data if key not in (*_NOWHERE, *_UNUSED[step])}
    for role in Role:
        side = kept.get(role.value) or {}
        kept[role.value] = {key: side[key] for key in side if key != "python"}
    scheduler = kept.get("lr_scheduler")
    if scheduler and step is Step.BACKWARD:
        kept["lr_scheduler"] = {key: scheduler[key] for key in scheduler if key != "probe"}
    folder = f"{Path(data.get('file', '')).parent}/"
    plain: dict[str, Json] = json.loads(json.dumps(kept).replace(json.dumps(folder)[1:-1], ""))
    return plain


def overrides_back(before: Mapping[str, Json], now: Mapping[str, Json]) -> tuple[str, ...]:
    """What `--set` must say to turn `now` into `before`, as ``key=value`` for a shell.

    An entry that only `now` has can't be taken away by an override and is left out.

    >>> overrides_back({"settings": {"size": "base"}}, {"settings": {"size": "mini"}})
    ('settings.size=base',)
    """
    old, new = dict(_flat(before)), dict(_flat(now))
    return tuple(
        shlex.quote(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
        for key, value in old.items()
        if key not in new or new[key] != value
    )


def changes(before: Mapping[str, Json], now: Mapping[str, Json]) -> tuple[str, ...]:
    """Each entry that differs, in words.

    >>> changes({"settings": {"size": "base"}}, {"settings": {"size": "mini"}})
    ('settings.size was "base" and is "mini"',)
    """
    old, new = dict(_flat(before)), dict(_flat(now))
    return tuple(
        f"{key} was {_said(old, key)} and is {_said(new, key)}"
        for key in sorted({*old, *new})
        if key not in old or key not in new or old[key] != new[key]
    )


def _said(entries: Mapping[str, Json], key: str) -> str:
    return json.dumps(entries[key]) if key in entries else "absent"


def _flat(data: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
