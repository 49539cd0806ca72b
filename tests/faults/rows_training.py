"""Faults of training: each is blamed on its part of an iteration, and each has a matching run.

A row's settings stand on both sides, what only the candidate gets wrong after them. The matching
run has the same settings and no fault; rows of equal settings share it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from faults.row import FRAMEWORKS, Row
from portalign.findings import Part

_GIT = "https://github.com/"
_TORCH = "https://pytorch.org/docs/stable/"
_PADDLE = "https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/"
_ADAMW = "name: adamw, lr: 0.01, weight_decay: 0.01, no_decay: [bias, norm]"
_ADAM = "name: adam, lr: 0.01"
_MOMENTUM = "name: momentum, lr: 0.05, weight_decay: 0.01"
_TRAIN = ("mode=train",)
_USUAL = {  # the rule that names a fault of a part, where its row isn't listed below
    Part.LR: "lr-argument",
    Part.CLIPPING: "clipping",
    Part.OPTIMIZER_STATE: "optimizer-argument",
    Part.UPDATE: "optimizer-argument",
    Part.DATA: "batch-order",
    Part.BUFFERS: "batch-norm-statistics",
}
_CAUSES = {
    "rate_stepped_first": "lr-scale",
    "rate_never_stepped": "lr-never-stepped",
    "rate_cosine_ahead": "lr-shift",
    "rate_per_epoch": "lr-pace",
    "rate_tenfold": "lr-scale",
    "rate_of_layers": "lr-scale",
    "without_head": "parameter-left-out",
    "loss_summed": "loss-reduction",
    "loss_unsmoothed": "loss-smoothing",
    "loss_unweighted": "loss-weights",
    "loss_ignored_counted": "loss-ignored",
    "loss_accumulated_undivided": "loss-accumulation",
    "loss_shifted_twice": "loss-shift",
    "fc1_frozen": "parameter-frozen",
    "detached": "gradient-cut",
    "dropout_rate": "dropout-rate",
    "dropout_missing": "dropout-on",
    "dropout_unscaled": "term-scaled dropout-rate",
    "norm_in_eval": "bn-statistics",
}


def _fault(
    part: Part,
    name: str,
    source: str,
    *,
    both: tuple[str, ...] = (),
    alone: tuple[str, ...] = (),
    fault: str = "none",
    arch: str = "mlp",
    frameworks: tuple[str, ...] = FRAMEWORKS,
) -> Row:
    """A training fault: `both` sides' overrides, and those that hold the candidate's mistake."""
    places = frozenset({part.value})
    overrides = (*both, *alone)
    known = (arch, name, fault, "backward", places, source, overrides, frameworks, part.value)
    return Row(*known, both, _CAUSES.get(name) or _USUAL[part])


def _entry(
    entry: str, part: Part, name: str, base: str, mistake: str, source: str, **more: tuple[str, ...]
) -> Row:
    """A fault in one entry of the port file: the same on both sides, but for the mistake."""
    both = (f"{entry}={{{base}}}",)
    alone = (f"{entry}={{{base}, candidate: {mistake}}}",)
    return _fault(part, name, source, both=both, alone=alone, **more)


def _optimizer(part: Part, name: str, base: str, mistake: str, source: str) -> Row:
    return _entry("optimizer", part, name, base, f"{{{mistake}}}", source)


def _own(part: Part, name: str, base: str, source: str, *frameworks: str) -> Row:
    """An optimizer function of the candidate's own, called as the row."""
    own = f"training_FRAMEWORK.py:{name}"
    chosen = frameworks or FRAMEWORKS
    return _entry("optimizer", part, name, base, own, source, frameworks=chosen)


def _rate(name: str, base: str, mistake: str, source: str) -> Row:
    return _entry("lr_scheduler", Part.LR, f"rate_{name}", base, f"{{{mistake}}}", source)


def _loss(name: str, base: str, mistake: str, source: str) -> Row:
    return _entry("loss", Part.LOSS, f"loss_{name}", base, f"{{{mistake}}}", source)


def _functions(
    entry: str,
    part: Part,
    name: str,
    right: str,
    wrong: str,
    source: str,
    *,
    files: str = "training",
    arch: str = "mlp",
    more: tuple[str, ...] = (),
) -> Row:
    """A mistake in the candidate's own function, where both sides have one."""
    sides = (
        f"{entry}={{{{reference: {files}_torch.py:{right}, candidate: {files}_FRAMEWORK.py:{{}}}}}}"
    )
    return _fault(
        part,
        name,
        source,
        both=(sides.format(right), *more),
        alone=(sides.format(wrong),),
        arch=arch,
    )


def _planted(part: Part, name: str, source: str, *frameworks: str) -> Row:
    """A fault in the candidate's model, in train mode."""
    chosen = frameworks or FRAMEWORKS
    return _fault(part, name, source, both=_TRAIN, fault=name, frameworks=chosen)


RATES = (
    _rate(
        "stepped_first",
        "name: lambda, factor: 'rates.py:decay'",
        "factor: 'rates.py:ahead'",
        _GIT + "huggingface/transformers/issues/2277",
    ),
    _rate(
        "never_stepped",
        "name: lambda, factor: 'rates.py:decay'",
        "factor: 'rates.py:still'",
        _TORCH + "optim.html#how-to-adjust-learning-rate",
    ),
    _rate(
        "warmup_longer",
        "name: linear_warmup, warmup: 10, total: 100",
        "warmup: 11",
        _GIT + "Tencent-Hunyuan/UniRL/pull/223",
    ),
    _rate(
        "cycles",
        "name: cosine_warmup, total: 100",
        "num_cycles: 1",
        "https://huggingface.co/docs/transformers/main_classes/optimizer_schedules",
    ),
    _rate(
        "step_size", "name: step, step_size: 1, gamma: 0.5", "step_size: 2",
        _TORCH + "generated/torch.optim.lr_scheduler.StepLR.html",
    ),
    _rate(
        "polynomial_end",
        "name: polynomial, total: 100",
        "end_lr: 1.0e-4",
        _PADDLE + "optimizer/lr/PolynomialDecay_en.html",
    ),
    _rate(
        "cosine_shorter",
        "name: cosine, t_max: 1000",
        "t_max: 999",
        _TORCH + "generated/torch.optim.lr_scheduler.CosineAnnealingLR.html",
    ),
    _functions(
        "lr_scheduler",
        Part.LR,
        "rate_cosine_ahead",
        "cosine",
        "cosine_ahead",
        _GIT + "huggingface/transformers/issues/2277",
        more=("iterations=6",),  # of a function that nobody names three points show nothing
    ),
    _rate(
        "per_epoch",
        "name: step, step_size: 1, gamma: 0.5, every: epoch, iterations_per_epoch: 2",
        "every: iteration, iterations_per_epoch: null",
        _TORCH + "optim.html#how-to-adjust-learning-rate",
    ),
    _optimizer(
        Part.LR, "rate_tenfold", _ADAM, "lr: 0.1", _TORCH + "generated/torch.optim.Adam.html"
    ),
    _optimizer(
        Part.LR,
        "rate_of_layers",
        f"{_ADAM}, lr_scale: {{fc1: 0.5}}",
        "lr_scale: {}",
        _TORCH + "optim.html#per-parameter-options",
    ),
)  # fmt: skip
CLIPPING = (
    _optimizer(
        Part.CLIPPING,
        "clip_each",
        f"{_ADAM}, clip_norm: 0.05",
        "clip_norm: null, clip_each_norm: 0.05",
        _GIT + "huggingface/transformers/issues/581",
    ),
    _optimizer(
        Part.CLIPPING,
        "clip_missing",
        f"{_ADAM}, clip_norm: 0.05",
        "clip_norm: null",
        _GIT + "NVIDIA/OpenSeq2Seq/pull/192",
    ),
    _optimizer(
        Part.CLIPPING,
        "clip_limit",
        f"{_ADAM}, clip_norm: 0.05",
        "clip_norm: 0.1",
        _TORCH + "generated/torch.nn.utils.clip_grad_norm_.html",
    ),
    _optimizer(
        Part.CLIPPING,
        "clip_value",
        f"{_ADAM}, clip_value: 0.005",
        "clip_value: 0.01",
        _TORCH + "generated/torch.nn.utils.clip_grad_value_.html",
    ),
    _own(
        Part.CLIPPING,
        "clip_eps",
        f"{_ADAM}, clip_norm: 0.05",
        _TORCH + "generated/torch.nn.utils.clip_grad_norm_.html",
        "paddle",
    ),
    _own(
        Part.CLIPPING,
        "clip_within",
        _ADAM,
        _TORCH + "generated/torch.optim.Optimizer.register_step_pre_hook.html",
        "torch",
    ),
)
STATE = (
    _optimizer(
        Part.OPTIMIZER_STATE,
        "beta1",
        _ADAM,
        "beta1: 0.95",
        _TORCH + "generated/torch.optim.Adam.html",
    ),
    _optimizer(
        Part.OPTIMIZER_STATE,
        "beta2",
        _ADAM,
        "beta2: 0.99",
        _TORCH + "generated/torch.optim.Adam.html",
    ),
    _optimizer(
        Part.OPTIMIZER_STATE,
        "momentum",
        _MOMENTUM,
        "momentum: 0.95",
        _TORCH + "generated/torch.optim.SGD.html",
    ),
    _optimizer(
        Part.OPTIMIZER_STATE,
        "decay_of_sgd",
        _MOMENTUM,
        "weight_decay: 0.0",
        _GIT + "pytorch/pytorch/issues/38767",
    ),
    _optimizer(
        Part.OPTIMIZER_STATE,
        "amsgrad",
        f"{_ADAM}, amsgrad: true",
        "amsgrad: false",
        _TORCH + "generated/torch.optim.Adam.html",
    ),
    _optimizer(
        Part.OPTIMIZER_STATE,
        "adagrad_start",
        "name: adagrad, lr: 0.01",
        "initial_accumulator: 0.1",
        _TORCH + "generated/torch.optim.Adagrad.html",
    ),
    _fault(
        Part.OPTIMIZER_STATE,
        "decay_coupled",
        "https://arxiv.org/abs/1711.05101",
        both=(f"optimizer={{{_ADAMW}}}",),
        alone=(
            "optimizer={name: adamw, lr: 0.01, candidate: training_FRAMEWORK.py:coupled, "
            "reference: {weight_decay: 0.01, no_decay: [bias, norm]}}",
        ),
    ),
)
UPDATE = (
    _optimizer(Part.UPDATE, "eps", _ADAM, "eps: 1.0e-6", _GIT + "dmlc/gluon-nlp/pull/601"),
    _optimizer(
        Part.UPDATE,
        "decay_missing",
        _ADAMW,
        "weight_decay: 0.0",
        _GIT + "nntrainer/nntrainer/pull/3565",
    ),
    _optimizer(
        Part.UPDATE,
        "decay_of_biases",
        _ADAMW,
        "no_decay: []",
        _GIT + "huggingface/transformers/issues/492",
    ),
    _optimizer(
        Part.UPDATE,
        "nesterov",
        _MOMENTUM,
        "nesterov: true",
        _TORCH + "generated/torch.optim.SGD.html",
    ),
    _own(Part.UPDATE, "without_head", _ADAM, _TORCH + "optim.html#per-parameter-options"),
    _own(Part.UPDATE, "uncorrected", _ADAM, _GIT + "google-research/bert/issues/153", "torch"),
)
LOSSES = (
    _loss(
        "summed",
        "name: cross_entropy",
        "reduction: sum",
        _GIT + "PaddlePaddle/Paddle/issues/23708",
    ),
    _loss(
        "unsmoothed",
        "name: cross_entropy, label_smoothing: 0.1",
        "label_smoothing: 0.0",
        _TORCH + "generated/torch.nn.CrossEntropyLoss.html",
    ),
    _loss(
        "unweighted",
        "name: cross_entropy, class_weights: [1.0, 2.0, 0.5, 1.5]",
        "class_weights: []",
        _TORCH + "generated/torch.nn.CrossEntropyLoss.html",
    ),
    _loss(
        "ignored_counted",
        "name: cross_entropy, ignore_index: 3",
        "ignore_index: -100",
        _GIT + "PaddlePaddle/Paddle/issues/48663",
    ),
    _functions(
        "loss",
        Part.LOSS,
        "loss_accumulated_undivided",
        "cross_entropy",
        "undivided",
        _GIT + "karpathy/nanoGPT/issues/206",
        more=("accumulate=2",),
    ),
    _functions(
        "loss",
        Part.LOSS,
        "loss_shifted_twice",
        "next_token",
        "shifted_twice",
        "https://huggingface.co/docs/transformers/model_doc/gpt2",
        files="losses",
        arch="gpt",
    ),
)
DATA = (
    _fault(
        Part.DATA,
        "batches_swapped",
        "https://pytorch.org/docs/stable/notes/randomness.html",
        alone=(
            "candidate={framework: FRAMEWORK, build: mlp_FRAMEWORK.py:build, "
            "batches: data.py:mlp_swapped}",
        ),
    ),
)
MODEL = (
    _planted(Part.GRADIENT, "fc1_frozen", _TORCH + "notes/autograd.html"),
    _planted(Part.GRADIENT, "detached", _GIT + "pytorch/pytorch/pull/37266"),
    _planted(Part.GRADIENT, "dropout_rate", _TORCH + "generated/torch.nn.Dropout.html"),
    _planted(Part.GRADIENT, "dropout_missing", _TORCH + "generated/torch.nn.Dropout.html"),
    _planted(Part.GRADIENT, "dropout_unscaled", _PADDLE + "nn/Dropout_en.html"),
    _planted(Part.GRADIENT, "norm_in_eval", _GIT + "tensorflow/tensorflow/issues/42605"),
    _planted(
        Part.BUFFERS, "norm_momentum_turned", _GIT + "huggingface/transformers/pull/19454"
    ),
    _planted(Part.BUFFERS, "norm_momentum_small", _GIT + "huggingface/transformers/pull/19454"),
    _planted(
        Part.BUFFERS, "norm_biased", _GIT + "callummcdougall/ARENA_3.0/issues/415", "torch"
    ),
    _planted(Part.BUFFERS, "norm_not_kept", _TORCH + "generated/torch.nn.BatchNorm1d.html"),
)  # fmt: skip
FAULTS: tuple[Row, ...] = (*RATES, *CLIPPING, *STATE, *UPDATE, *LOSSES, *DATA, *MODEL)


def matching(faults: Iterable[Row]) -> tuple[Row, ...]:
    """The runs without a fault, one for all rows of equal settings and architecture.

    Each is called after the first fault it belongs to and runs with all frameworks of its rows.
    """
    found: dict[tuple[str, tuple[str, ...]], Row] = {}
    for row in faults:
        key = (row.arch, row.matching)
        clean = found.get(key) or replace(
            row,
            name=f"without_{row.name}",
            fault="none",
            places=frozenset(),
            overrides=row.matching,
            frameworks=(),
            part="",
            cause="",
        )
        frameworks = tuple(f for f in FRAMEWORKS if f in (*clean.frameworks, *row.frameworks))
        found[key] = replace(clean, frameworks=frameworks)
    return tuple(found.values())


ROWS = (*FAULTS, *matching(FAULTS))
