"""What can be named, as docs/causes.md: one line per rule, drawn from the rules themselves.

Causes that are no rule about a place (of curves, scores, initial values, training) are listed here;
a test finds every name that the package gives a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from portalign.diagnose.family import Knob
from portalign.diagnose.registry import all_rules
from portalign.findings import OriginKind

_HEAD: Final = """# Causes that portalign names

Written by `python -m portalign.diagnose > docs/causes.md` from the rules in
`pipeline/portalign/diagnose/rules/` and the list in `diagnose/listing.py`; tests compare them.
How they work: `decisions/0018-*`, and `decisions/0015-*` for rates, metrics and training.

## At a place in the model, in the loss, or in a gradient

"""
_TABLE: Final = "| Rule | Names | Looks at |\n|---|---|---|\n"
_BEHIND: Final = """
## In the numbers of a run: initial values, learning rates, training, metrics

"""
_OPEN: Final = """
## What isn't told

- Attention that is no chain of query, key, value, scores and softmax: routers of experts, biases
  learned for every distance (T5, Swin), sinks, normalised queries and keys. Rotary frequencies that
  are scaled by parts (YaRN, Llama 3), where no tensor of the model holds them.
- Of a core with more keys than a head is wide: dropped-out weights, and slopes that aren't usual.
- TF32 from float16 where no number is so small that float16 keeps fewer bits of it: both are named
  then. A sum that is rounded on its way, but not part by part.
- Another weight, where the input has fewer rows than the weight has numbers: the report says how
  many it would take. Whether such a weight was never loaded or is another checkpoint's.
- Factors of interpolation that aren't the ratio of the sizes.
"""
NUMBERS: Final[tuple[tuple[str, str, str], ...]] = (
    ("state-rounded", "an initial value went through bfloat16 or float16", "initial values"),
    ("state-scaled", "an initial value is a number times the reference's", "initial values"),
    ("state-shifted", "an initial value is the reference's plus a number", "initial values"),
    ("state-permuted", "an initial value stands in another order; the order", "initial values"),
    ("state-transposed", "an initial value stands transposed", "initial values"),
    ("state-swapped", "an initial value is another tensor's", "initial values"),
    ("state-initial", "an initial value is all zeros or ones: never loaded", "initial values"),
    ("state-base", "rates such as rotary frequencies are powers of another base", "initial values"),
    ("state-scaling", "rotary frequencies are scaled by parts (rope_scaling)", "initial values"),
    ("rewritten-weights", "other weights of equal outputs: folded, centred", "weights"),
    ("constant-per-position", "scores are shifted by a constant per position", "outputs"),
    ("output-rounded", "an output goes through bfloat16 or float16 on one side", "outputs"),
    ("layer-order", "local and global attention layers are in the wrong order", "attention"),
    ("batch-order", "the candidate reads the reference's batches in another order", "training"),
    (
        "clipping",
        "gradients are clipped otherwise: not, together, each, by value; limit",
        "training",
    ),
    (
        "optimizer-argument",
        "betas, momentum, eps, weight decay (how much, of which, coupled or not), Nesterov, "
        "AMSGrad, bias correction, initial accumulator; both values",
        "training",
    ),
    ("parameter-left-out", "the optimizer doesn't hold a parameter", "training"),
    (
        "batch-norm-statistics",
        "running statistics take another share (momentum), a biased variance, or nothing",
        "training",
    ),
    (
        "lr-argument",
        "an argument of the schedule: warm-up, total, gamma, end; both values",
        "rates",
    ),
    ("lr-schedule", "another schedule", "rates"),
    ("lr-never-stepped", "one side's scheduler is never stepped", "rates"),
    ("lr-shift", "the schedule runs some steps ahead or behind", "rates"),
    ("lr-pace", "it is stepped by epoch for by iteration, or the other way round", "rates"),
    ("lr-scale", "the learning rate is a number times the reference's, of all or a group", "rates"),
    (
        "lr-group-end",
        "where a schedule ends for groups of parameters (torch against paddle)",
        "rates",
    ),
    ("lr-plateau-cooldown", "the frameworks count a plateau's cooldown otherwise", "rates"),
    ("metric-absent-classes", "classes that never occur count in a mean", "metrics"),
    ("metric-argument", "k, the average or the longest n-gram; both values", "metrics"),
    (
        "metric-batches",
        "a mean of the batches' values, a short last batch counted as full or cut",
        "metrics",
    ),
    ("metric-bins", "scores are counted in bins", "metrics"),
    ("metric-cut-off", "losses are cut off at 64", "metrics"),
    ("metric-function", "another metric, or the same without its last step", "metrics"),
    ("metric-ignored-labels", "ignored labels count, or another label is ignored", "metrics"),
    (
        "metric-positive-class",
        "it is computed of the other class, or of one class's scores",
        "metrics",
    ),
    ("metric-ties", "equal scores are ordered otherwise", "metrics"),
    ("metric-unit", "a share against per cent, or hits against misses", "metrics"),
    ("cross-entropy", "the frameworks' losses are known to differ there, by how much", "training"),
    ("known-framework-difference", "the frameworks can't be made equal there", "training"),
)


def listing() -> str:
    """The page, one table line per rule: those about places by name, then all others."""
    rules = (
        (rule.name, rule.line, rule.families if isinstance(rule, Knob) else _kinds(rule.kinds))
        for rule in sorted(all_rules(), key=lambda rule: rule.name)
    )
    places = ((name, line, ", ".join(looks)) for name, line, looks in rules)
    return f"{_HEAD}{_rows(places)}{_BEHIND}{_rows(NUMBERS)}{_OPEN}"


def _kinds(kinds: Iterable[OriginKind]) -> list[str]:
    return sorted(kind.value for kind in kinds)


def _rows(lines: Iterable[tuple[str, str, str]]) -> str:
    return _TABLE + "".join(f"| `{name}` | {line} | {looks} |\n" for name, line, looks in lines)
