"""What each named metric takes, with its defaults."""

from __future__ import annotations

from typing import Final

from portalign.equivalents.arguments.argument import Accepted, choice, count

_AVERAGE: Final = {"average": choice("binary", "macro", "micro", "weighted")}

METRICS: Final[Accepted] = {
    "accuracy": {"k": count(1, low=1)},
    "precision": _AVERAGE,
    "recall": _AVERAGE,
    "f1": _AVERAGE,
    "auc": {},
}
