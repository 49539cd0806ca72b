"""What the port file can say of a weight's layout, in words.

``transposed`` · ``q k v`` packed one after the other · ``q k v by 12`` head by head, for 12 heads ·
``4q k v by 8`` with four query heads to a group · ``stacked`` along axis 0, one slice a layer ·
several with a comma: ``k v by 8, transposed``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import final

ORDERS = ("as_is", "transposed")
STACKED = "stacked"
_PART = r"[1-9]?[0-9]*[A-Za-z_]\w*"
_PARTS = re.compile(rf"({_PART}(?: {_PART})+?)(?: by ([1-9][0-9]*))?")


@final
@dataclass(frozen=True, slots=True)
class Said:
    """One layout as the port file says it.

    Attributes:
        order: "as_is" or "transposed", "" if nothing is said of it.
        parts: names of what is packed, in their order; empty if it isn't packed.
        shares: how long each is against the others; all 1 where nothing is said of it.
        n_groups: how many heads, or other groups, each hold a share of every part.
        is_stacked: axis 0 numbers the layers.
    """

    order: str = ""
    parts: tuple[str, ...] = ()
    shares: tuple[int, ...] = ()
    n_groups: int = 1
    is_stacked: bool = False


def understand(text: str) -> Said:
    """Read what the port file says.

    Raises:
        ValueError: with what is wrong and what is meant, as one clause.

    >>> understand("4q k v by 8, transposed")
    Said(order='transposed', parts=('q', 'k', 'v'), shares=(4, 1, 1), n_groups=8, is_stacked=False)
    """
    said = Said()
    for phrase in text.split(","):
        said = _with(said, " ".join(phrase.split()), text)
    return said


def _with(said: Said, phrase: str, text: str) -> Said:
    is_packing = bool(said.parts or said.is_stacked)
    if phrase in ORDERS and not said.order:
        return replace(said, order=phrase)
    if phrase == STACKED and not is_packing:
        return replace(said, is_stacked=True)
    if (packed := _PARTS.fullmatch(phrase)) and not is_packing:
        counted = [re.fullmatch(r"(\d*)(.*)", word) for word in packed[1].split()]
        parts = tuple(word[2] for word in counted if word)
        shares = tuple(int(word[1] or 1) for word in counted if word)
        if len({*parts, "by"}) == len(parts) + 1:
            return Said(said.order, parts, shares, int(packed[2] or 1))
    close = difflib.get_close_matches(phrase, [*ORDERS, STACKED], n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(
        f"{hint}write as_is, transposed, stacked, or parts in their order such as `q k v` or "
        f"`q k v by 12`, the latter for 12 heads; several with a comma, each once: {text!r}"
    )
