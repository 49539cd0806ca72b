"""What each named metric takes, with its defaults."""

from __future__ import annotations

from typing import Final

from portalign.equivalents.arguments.argument import (
    Accepted,
    Argument,
    choice,
    count,
    flag,
    integer,
    is_count,
)

_IGNORED: Final = {
    "ignore_index": Argument(
        "an integer, or null to count every label", lambda v: v is None or is_count(v)
    )
}
_SCORES: Final = {**_IGNORED, "axis": integer(-1)}  # axis of the classes
_TEXT: Final = {"ignore_index": integer(-100), "axis": integer(-1)}
# as_is: what a framework's users call, without portalign's care for ties, bins and saturation
_AS_IS: Final = {"as_is": flag(False)}
_AVERAGE: Final = {**_SCORES, "average": choice("binary", "macro", "micro", "weighted"), **_AS_IS}

METRICS: Final[Accepted] = {
    "accuracy": {**_SCORES, "k": count(1, low=1), **_AS_IS},
    "precision": _AVERAGE,
    "recall": _AVERAGE,
    "f1": _AVERAGE,
    "auc": {**_SCORES, **_AS_IS},
    "confusion_matrix": _SCORES,
    "perplexity": {**_TEXT, **_AS_IS},
    "exact_match": _TEXT,
    "bleu": {**_TEXT, "max_n": count(4, low=1)},
    "miou": {**_IGNORED, "axis": integer(1)},  # [n, classes, height, width], as images are
}
