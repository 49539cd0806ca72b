"""What each named loss takes, with its defaults."""

from __future__ import annotations

from typing import Final

from portalign.equivalents.arguments.argument import (
    Accepted,
    Argument,
    integer,
    is_count,
    number,
    text,
)

_OUTPUT: Final = {
    "output": Argument(
        "an output's name, or its index in a tuple",
        lambda value: is_count(value) or (isinstance(value, str) and value != ""),
        "logits",
    ),
    "labels": text("labels"),
}

LOSSES: Final[Accepted] = {
    # defaults of torch.nn.functional 2.13, which paddle 3.3.1 shares
    "cross_entropy": {
        **_OUTPUT,
        "label_smoothing": number(0.0, low=0, below=1),
        "ignore_index": integer(-100),
        "axis": integer(-1),
    },
    "mse": _OUTPUT,
    "l1": _OUTPUT,
    "bce_with_logits": _OUTPUT,
}
