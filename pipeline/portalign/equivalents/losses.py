"""Losses: what torch and Paddle compute of one entry, from the same outputs and labels."""

from __future__ import annotations

from functools import partial
from typing import Final

from portalign.equivalents.rows import Area, Row

# Sums of at most 200 terms: an ulp (1.1e-16) each at worst.
_row = partial(Row, Area.LOSS, agrees_to=1e-13)
_differs = partial(Row, Area.LOSS)
_FLOAT32 = "Paddle keeps {} in float32; torch's float64 twin gets the same rounded numbers."
_CE: Final = {"name": "cross_entropy"}

ROWS: Final[tuple[Row, ...]] = (
    _row(
        "cross entropy",
        {**_CE},
        "cross_entropy(logits, labels)",
        "cross_entropy(logits, labels)",
        "Classes are the second axis in torch and the last in Paddle: portalign's `axis` is -1, as "
        "Paddle's.",
    ),
    _row(
        "cross entropy, class axis 1",
        {**_CE, "axis": 1},
        "cross_entropy(logits, labels)",
        "cross_entropy(logits, labels, axis=1)",
    ),
    _row(
        "cross entropy, class weights",
        {**_CE, "class_weights": [0.5, 2.0, 1.0, 1.5, 0.7]},
        "cross_entropy(logits, labels, weight=weights)",
        "cross_entropy(logits, labels, weight=weights)",
        "The mean divides by the weights of the labels on both sides.",
    ),
    _row(
        "cross entropy, class weights, ignored labels",
        {**_CE, "class_weights": [0.5, 2.0, 1.0, 1.5, 0.7], "ignore_index": -100},
        "cross_entropy(logits, labels, weight=weights)",
        "cross_entropy(logits, labels, weight=weights)",
        "Weights of 1.0 therefore mend Paddle's mean over kept labels.",
    ),
    _differs(
        "cross entropy, ignored labels",
        {**_CE, "ignore_index": -100, "reduction": "mean"},
        "cross_entropy(logits, labels)",
        "cross_entropy(logits, labels)",
        "Value and gradient. Mend it with class weights of 1.0, with an `ignore_index` >= 0, or "
        "with the sum divided by hand. Where every label is ignored torch gives NaN, Paddle 0.",
        differs_by=3e-1,
        why="With a negative `ignore_index` Paddle divides by all labels, torch by those it kept.",
    ),
    _row(
        "cross entropy, an ignored class",
        {**_CE, "ignore_index": 2},
        "cross_entropy(logits, labels, ignore_index=2)",
        "cross_entropy(logits, labels, ignore_index=2)",
        "With an `ignore_index` >= 0 Paddle divides by the labels it kept, as torch.",
    ),
    _row(
        "cross entropy, ignored labels, unreduced",
        {**_CE, "ignore_index": -100, "reduction": "none"},
        "cross_entropy(logits, labels, reduction='none').mean()",
        "cross_entropy(logits, labels, reduction='none').mean()",
        "Ignored labels count as 0 on both sides.",
    ),
    _row(
        "cross entropy, label smoothing",
        {**_CE, "label_smoothing": 0.1},
        "cross_entropy(logits, labels, label_smoothing=0.1)",
        "cross_entropy(logits, labels, label_smoothing=0.1)",
        _FLOAT32.format("the smoothed labels") + " Paddle can smooth along the last axis only.",
    ),
    _differs(
        "cross entropy, label smoothing, an ignored class",
        {**_CE, "label_smoothing": 0.1, "ignore_index": 2, "reduction": "mean"},
        "cross_entropy(logits, labels, label_smoothing=0.1, ignore_index=2)",
        "cross_entropy(logits, labels, label_smoothing=0.1, ignore_index=2)",
        "A negative `ignore_index` raises in Paddle.",
        differs_by=9e-1,
        why="Paddle smooths and counts ignored labels too, and divides by labels times classes.",
    ),
    _differs(
        "cross entropy, label smoothing, class weights",
        {
            **_CE,
            "label_smoothing": 0.1,
            "class_weights": [0.5, 2.0, 1.0, 1.5, 0.7],
            "reduction": "mean",
        },
        "cross_entropy(logits, labels, label_smoothing=0.1, weight=weights)",
        "cross_entropy(logits, labels, label_smoothing=0.1, weight=weights)",
        differs_by=8e-2,
        why="torch weights each class's term, Paddle the label's whole loss by its mean weight.",
    ),
    _row(
        "cross entropy, soft labels",
        {**_CE, "soft_labels": True},
        "cross_entropy(logits, probabilities)",
        "cross_entropy(logits, probabilities, soft_label=True)",
        "torch sees by the dtype that labels are probabilities. Paddle's gradient takes the sum of "
        "a row for 1; torch's twin does too where float32 misses it.",
    ),
    _row(
        "cross entropy, soft labels, smoothed",
        {**_CE, "soft_labels": True, "label_smoothing": 0.1},
        "cross_entropy(logits, probabilities, label_smoothing=0.1)",
        "cross_entropy(logits, probabilities, soft_label=True, label_smoothing=0.1)",
        _FLOAT32.format("the smoothing"),
    ),
    _differs(
        "cross entropy, soft labels, class weights",
        {
            **_CE,
            "soft_labels": True,
            "class_weights": [0.5, 2.0, 1.0, 1.5, 0.7],
            "reduction": "mean",
        },
        "cross_entropy(logits, probabilities, weight=weights)",
        "cross_entropy(logits, probabilities, weight=weights, soft_label=True)",
        differs_by=3e-1,
        why="torch weights each class's term and divides by the labels, Paddle weights the label's "
        "whole loss and divides by the weights.",
    ),
    _differs(
        "cross entropy, far from the maximum",
        {**_CE, "reduction": "mean"},
        "cross_entropy(logits, labels)",
        "cross_entropy(logits, labels)",
        "The gradient is right. Here logits are 100 apart; below 64 nothing is seen.",
        differs_by=7e-1,
        why="Paddle's CPU kernel clamps a logit's distance to the greatest at 64.",
    ),
    _row(
        "negative log-likelihood",
        {"name": "nll", "ignore_index": -100},
        "nll_loss(log_probabilities, labels)",
        "nll_loss(log_probabilities, labels)",
        "The mean divides by the labels it kept on both sides, unlike Paddle's cross entropy. "
        "Paddle's writes beyond its memory where it reduces float64 and labels are ignored (3.3.1, "
        "CPU); its twin reduces by hand.",
    ),
    _row(
        "negative log-likelihood, class weights",
        {"name": "nll", "class_weights": [0.5, 2.0, 1.0, 1.5, 0.7]},
        "nll_loss(log_probabilities, labels, weight=weights)",
        "nll_loss(log_probabilities, labels, weight=weights)",
    ),
    _row(
        "binary cross entropy",
        {"name": "bce_with_logits"},
        "binary_cross_entropy_with_logits(logits, labels)",
        "binary_cross_entropy_with_logits(logits, labels)",
    ),
    _row(
        "binary cross entropy, weight of positives",
        {"name": "bce_with_logits", "pos_weight": [0.5, 2.0, 1.0, 3.0, 0.7]},
        "binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)",
        "binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)",
    ),
    _row(
        "mean squared error",
        {"name": "mse"},
        "mse_loss(output, labels)",
        "mse_loss(output, labels)",
        "Both would broadcast unequal shapes: portalign refuses them.",
    ),
    _row(
        "mean absolute error",
        {"name": "l1"},
        "l1_loss(output, labels)",
        "l1_loss(output, labels)",
    ),
    _row(
        "smooth L1",
        {"name": "smooth_l1", "beta": 0.1},
        "smooth_l1_loss(output, labels, beta=0.1)",
        "smooth_l1_loss(output, labels, delta=0.1, is_huber=False)",
        "Paddle's `smooth_l1_loss` is the Huber loss unless `is_huber=False`: smaller by the "
        "factor `beta`. " + _FLOAT32.format("delta"),
    ),
    _row(
        "Huber",
        {"name": "huber", "delta": 0.3},
        "huber_loss(output, labels, delta=0.3)",
        "smooth_l1_loss(output, labels, delta=0.3)",
        _FLOAT32.format("delta"),
    ),
    _row(
        "Kullback-Leibler",
        {"name": "kl"},
        "kl_div(log_probabilities, probabilities, reduction='none').mean()",
        "kl_div(log_probabilities, probabilities)",
        "`mean` is over all elements on both sides (torch warns that its own will become "
        "`batchmean`); the divergence itself is `batchmean`.",
    ),
    _row(
        "Kullback-Leibler, logarithmic labels",
        {"name": "kl", "log_target": True, "reduction": "batchmean"},
        "kl_div(log_probabilities, log_labels, reduction='batchmean', log_target=True)",
        "kl_div(log_probabilities, log_labels, reduction='batchmean', log_target=True)",
    ),
    _row(
        "CTC",
        {"name": "ctc"},
        "ctc_loss(scores.log_softmax(-1), labels, input_lengths, label_lengths)",
        "ctc_loss(scores, labels, input_lengths, label_lengths)",
        "torch wants log-probabilities, Paddle takes the softmax itself (of log-probabilities it "
        "gives the same). Labels are int32 in Paddle.",
    ),
    _row(
        "cosine embedding",
        {"name": "cosine_embedding", "margin": 0.3},
        "cosine_embedding_loss(first, second, labels, margin=0.3)",
        "cosine_embedding_loss(first, second, labels, margin=0.3)",
        agrees_to=1e-10,  # the two keep from dividing by zero in other places, 1e-12 in size
    ),
    _row(
        "triplet margin",
        {"name": "triplet", "margin": 0.3},
        "triplet_margin_loss(anchor, positive, negative, margin=0.3)",
        "triplet_margin_loss(anchor, positive, negative, margin=0.3)",
    ),
    _row(
        "triplet margin, swapped, 1-norm",
        {"name": "triplet", "p": 1.0, "swap": True},
        "triplet_margin_loss(anchor, positive, negative, p=1.0, swap=True)",
        "triplet_margin_loss(anchor, positive, negative, p=1.0, swap=True)",
    ),
)
