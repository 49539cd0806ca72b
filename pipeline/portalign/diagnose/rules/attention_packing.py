"""Query, key and value out of one matrix: one part behind the other, or head by head."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from portalign.diagnose.evidence import Numbers
from portalign.diagnose.family import Chosen, Knob, Reading, Turned, Value, Words

_SAID = {
    None: "[3, heads, width]: all of query, then key, then value",
    "by heads": "[heads, 3, width]: query, key and value of each head (or group) side by side",
    "inside": "[heads, width, 3]: query, key and value of each number side by side",
}


def _read(together: Numbers, value: Value, reading: Reading) -> Numbers:
    """[batch, time, packed], taken in another order; query, key, value behind each other again."""
    way, n_heads = value
    parts = [reading.tensors[name].shape[-1] for name in ("query", "key", "value")]
    width = parts[0] // n_heads
    n_groups = parts[1] // max(width, 1)
    if not n_groups or n_heads % n_groups or parts[1] != parts[2] or parts[1] % width:
        raise ValueError(f"{parts} aren't heads of {width}")
    each = n_heads // n_groups
    places = np.arange(sum(parts))
    if way == "inside":
        order = places.reshape(n_heads, width, -1).transpose(2, 0, 1)
    else:
        grouped = places.reshape(n_groups, each + 2, width)
        split = [grouped[:, :each], grouped[:, each], grouped[:, each + 1]]
        order = np.concatenate([part.ravel() for part in split])
    taken: Numbers = together[..., order.ravel()]
    return taken


def packings(reading: Reading, chosen: Chosen) -> Iterable[Value]:
    """How a reference may have it: a packed one either way, three of them as they are."""
    n_heads = int(chosen.get("attention-heads") or 1)
    is_packed = len({name.rpartition(" ")[0] for name in reading.names.values()}) == 1
    return (None, ("by heads", n_heads)) if is_packed else (None,)


def _values(_reading: Reading, chosen: Chosen) -> Iterable[Value]:
    n_heads = int(chosen.get("attention-heads") or 1)
    return (None, ("by heads", n_heads), ("inside", n_heads))


def _tell(turned: Turned) -> Words:
    ours, theirs = (_SAID[way and way[0]] for way in (turned.reference, turned.candidate))
    return Words(
        f"the packed query, key and value are read as {theirs}, in the reference as {ours}",
        "permute the rows of the packed weight when it is loaded, or take it apart as the "
        "reference does",
    )


RULE = Knob(
    name="attention-packing",
    line="packed query, key and value are taken apart otherwise: [3, heads, d] or [heads, 3, d]",
    families=("attention",),
    acts={"packing": _read},
    values=_values,
    tell=_tell,
    is_wide=True,
    usual=packings,
)
