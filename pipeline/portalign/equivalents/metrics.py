"""Metrics: what scikit-learn or torch and what Paddle compute of one entry."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from portalign.equivalents.rows import Area, Row

# Sums of at most a few thousand exact counts in double, one division; AUC sums over pairs.
_row = partial(Row, Area.METRIC, agrees_to=1e-12)
_differs = partial(_row, agrees_to=math.nan)
_NONE = "Paddle has none: counted per class in numpy."
_PER_CLASS = "numpy, hits and counts per class"
_ABSENT = "A class that occurs neither in labels nor in predictions is left out of the mean."

ROWS: Final[tuple[Row, ...]] = (
    _row(
        "accuracy",
        {"name": "accuracy"},
        "accuracy_score(labels, scores.argmax(1))",
        "Accuracy(topk=(1,)), fed from a stable argsort",
        "Of equal scores the first class counts, on both sides.",
    ),
    _row(
        "accuracy, top 5",
        {"name": "accuracy", "k": 5},
        "top_k_accuracy_score(labels, scores, k=5), classes reversed",
        "Accuracy(topk=(5,)), fed from a stable argsort",
        "scikit-learn lets the last of equal scores in, Paddle any: portalign lets the first in.",
    ),
    _differs(
        "accuracy, top 5, as the frameworks order ties",
        {"name": "accuracy", "k": 5, "as_is": True},
        "scores.topk(5).indices",
        "Accuracy(topk=(5,)).compute(scores, labels)",
        differs_by=0.01,
        why="Which of equal scores come first is left open by both sorts (Paddle's is unstable "
        "from 17 classes on). Without equal scores both agree.",
    ),
    _row(
        "precision",
        {"name": "precision"},
        "precision_score(labels, predicted)",
        "Precision(), fed with predicted classes",
        "Of class 1 of two; 0.0 where nothing is predicted.",
    ),
    _differs(
        "precision, Paddle's from probabilities",
        {"name": "precision", "as_is": True},
        "precision_score(labels, predicted)",
        "Precision(), fed with probabilities",
        differs_by=0.03,
        why="Paddle rounds the probability of class 1: a tie at 0.5 is class 1 to it and class 0 "
        "to argmax. Without equal scores both agree.",
    ),
    *(
        _row(
            f"precision, {average}",
            {"name": "precision", "average": average},
            f'precision_score(labels, predicted, average="{average}")',
            _PER_CLASS,
            f"{_NONE} {_ABSENT if average == 'macro' else ''}".strip(),
        )
        for average in ("micro", "macro", "weighted")
    ),
    _row("recall", {"name": "recall"}, "recall_score(labels, predicted)", "Recall()"),
    *(
        _row(
            f"recall, {average}",
            {"name": "recall", "average": average},
            f'recall_score(labels, predicted, average="{average}")',
            _PER_CLASS,
            f"{_NONE} {_ABSENT if average == 'macro' else ''}".strip(),
        )
        for average in ("micro", "macro", "weighted")
    ),
    _row(
        "F1",
        {"name": "f1"},
        "f1_score(labels, predicted)",
        "2PR / (P + R) of Precision() and Recall()",
    ),
    *(
        _row(
            f"F1, {average}",
            {"name": "f1", "average": average},
            f'f1_score(labels, predicted, average="{average}")',
            _PER_CLASS,
            f"{_NONE} {_ABSENT if average == 'macro' else ''}".strip(),
        )
        for average in ("micro", "macro", "weighted")
    ),
    _row(
        "F1, macro, with ignored labels",
        {"name": "f1", "average": "macro", "ignore_index": -100},
        'f1_score(labels[kept], predicted[kept], average="macro")',
        _PER_CLASS,
        "Neither library knows an ignored label: portalign leaves them out before.",
    ),
    _row(
        "AUC",
        {"name": "auc"},
        "roc_auc_score(labels, scores[:, 1] - scores[:, 0])",
        "Auc(num_thresholds=n), fed with ranks, n distinct scores",
        "NaN where all labels are of one class; Paddle says 0.0 there.",
    ),
    _differs(
        "AUC, Paddle's in bins of probability",
        {"name": "auc", "as_is": True},
        "roc_auc_score(labels, probabilities)",
        "Auc(), fed with probabilities",
        differs_by=2e-5,
        why="Paddle counts in 4096 bins of probability, so scores of one bin tie. Grows where "
        "probabilities crowd at 0 and 1.",
    ),
    _row(
        "confusion matrix",
        {"name": "confusion_matrix"},
        "confusion_matrix(labels, predicted, labels=range(n_classes))",
        _PER_CLASS,
        "Rows are labels, columns predictions. Paddle has none: counted in numpy.",
    ),
    _row(
        "perplexity",
        {"name": "perplexity"},
        "exp(F.cross_entropy(scores.double(), labels))",
        "exp(mean(logsumexp(scores) - scores[label]))",
        "Over all labels but `ignore_index` (-100), in double.",
    ),
    _differs(
        "perplexity, Paddle's from its cross entropy",
        {"name": "perplexity", "as_is": True},
        "exp(F.cross_entropy(scores.double(), labels))",
        "exp(mean(F.cross_entropy(scores, labels)))",
        differs_by=1.0,
        why="Paddle's softmax on a CPU doesn't look farther than 64 below the greatest score, so "
        "no label costs more than 64. Scores that lie closer agree.",
    ),
    _row(
        "exact match",
        {"name": "exact_match"},
        "numpy, all tokens but ignored ones equal",
        "the same code",
        "Neither framework has it: this compares predictions, not two implementations.",
    ),
    _row(
        "BLEU",
        {"name": "bleu"},
        "numpy, corpus BLEU of token ids, orders 1 to 4",
        "the same code",
        "Neither framework has it: this compares predictions, not two implementations. No "
        "smoothing, one reference; lengths are equal, so there is no brevity penalty.",
    ),
    _row(
        "mIoU",
        {"name": "miou", "ignore_index": 255},
        'jaccard_score(labels, predicted, average="macro")',
        _PER_CLASS,
        f"{_ABSENT} PaddleSeg counts it as 0.",
    ),
)
