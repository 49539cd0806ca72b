"""What each named loss takes, with its defaults."""

from __future__ import annotations

from typing import Final

from portalign.equivalents.arguments.argument import (
    POSITIVE,
    Accepted,
    Argument,
    choice,
    count,
    flag,
    integer,
    is_count,
    is_number,
    list_of,
    number,
    text,
)


def _output(default: str | int) -> Argument:
    return Argument(
        "an output's name, or its index in a tuple",
        lambda value: is_count(value) or (isinstance(value, str) and value != ""),
        default,
    )


# `none` takes each framework's unreduced losses and their mean over all elements
_REDUCTION: Final = {"reduction": choice("mean", "sum", "none")}
_SCORES: Final = {"output": _output("logits"), "labels": text("labels"), **_REDUCTION}
_CLASSES: Final = {
    **_SCORES,
    "class_weights": list_of("a list of numbers > 0", lambda v: is_number(v) and v > 0),
    "ignore_index": integer(-100),
    "axis": integer(-1),
}

LOSSES: Final[Accepted] = {
    # defaults of torch.nn.functional 2.13, which paddle 3.3.1 shares
    "cross_entropy": {
        **_CLASSES,
        "label_smoothing": number(0.0, low=0, below=1),
        "soft_labels": flag(False),
    },
    "nll": _CLASSES,  # of log-probabilities
    "mse": _SCORES,
    "l1": _SCORES,
    "smooth_l1": {**_SCORES, "beta": number(1.0, low=POSITIVE)},
    "huber": {**_SCORES, "delta": number(1.0, low=POSITIVE)},
    "bce_with_logits": {
        **_SCORES,
        "pos_weight": list_of("a list of numbers > 0", lambda v: is_number(v) and v > 0),
    },
    "kl": {  # of log-probabilities, against probabilities
        **_SCORES,
        "reduction": choice("mean", "batchmean", "sum", "none"),
        "log_target": flag(False),
    },
    "ctc": {
        **_SCORES,
        "input_lengths": text("input_lengths"),
        "label_lengths": text("label_lengths"),
        "blank": count(0),
        "batch_first": flag(False),
    },
    "cosine_embedding": {
        "output": _output(0),
        "other": _output(1),
        "labels": text("labels"),
        "margin": number(0.0, low=-1),
        **_REDUCTION,
    },
    "triplet": {
        "anchor": _output(0),
        "positive": _output(1),
        "negative": _output(2),
        "margin": number(1.0, low=0),
        "p": number(2.0, low=POSITIVE),
        "eps": number(1e-6, low=0),
        "swap": flag(False),
        **_REDUCTION,
    },
}
