"""Optimizers: what torch and Paddle build of one entry, and what they do to the same gradients."""

from __future__ import annotations

from functools import partial
from typing import Final

from portalign.equivalents.rows import Area, Row

# An update is a few double operations; in 45 of them an ulp (1.1e-16) grows to 3e-14 at most.
_row = partial(Row, Area.OPTIMIZER, agrees_to=1e-12)
_differs = partial(Row, Area.OPTIMIZER)
_INSIDE = "Paddle's `epsilon` stands inside the root, torch's `eps` outside."
_FLOAT32 = "Paddle keeps {} in float32; torch's float64 twin gets the same rounded numbers."

ROWS: Final[tuple[Row, ...]] = (
    _row(
        "SGD",
        {"name": "sgd", "lr": 0.01},
        "SGD(parameters, lr=0.01)",
        "SGD(0.01, parameters)",
    ),
    _row(
        "SGD, coupled decay",
        {"name": "sgd", "lr": 0.01, "weight_decay": 0.1},
        "SGD(parameters, lr=0.01, weight_decay=0.1)",
        "SGD(0.01, parameters, weight_decay=0.1)",
        "A float is L2Decay in Paddle: coupled, as in torch.",
    ),
    _row(
        "momentum",
        {"name": "momentum", "lr": 0.01, "weight_decay": 0.1},
        "SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.1)",
        "Momentum(0.01, 0.9, parameters, weight_decay=0.1)",
        _FLOAT32.format("momentum and weight decay")
        + " torch's `dampening` has no counterpart in Paddle: leave it at 0.",
    ),
    _row(
        "momentum, Nesterov",
        {"name": "momentum", "lr": 0.01, "nesterov": True},
        "SGD(parameters, lr=0.01, momentum=0.9, nesterov=True)",
        "Momentum(0.01, 0.9, parameters, use_nesterov=True)",
    ),
    _row(
        "Adam",
        {"name": "adam", "lr": 0.001},
        "Adam(parameters, lr=0.001)",
        "Adam(0.001, parameters=parameters)",
    ),
    _row(
        "Adam, coupled decay",
        {"name": "adam", "lr": 0.001, "weight_decay": 0.1, "no_decay": ["bias"]},
        "Adam([{'params': weights}, {'params': biases, 'weight_decay': 0.0}], weight_decay=0.1)",
        "Adam(0.001, parameters=parameters, weight_decay=0.1); bias.regularizer = L2Decay(0.0)",
        "Coupled on both sides. Groups would spare the biases in Paddle too, but each group is "
        "then clipped by a norm of its own.",
    ),
    _row(
        "Adam, AMSGrad",
        {"name": "adam", "lr": 0.001, "amsgrad": True},
        "Adam(parameters, lr=0.001, amsgrad=True)",
        "Adam(0.001, parameters=parameters, amsgrad=True)",
    ),
    _row(
        "AdamW",
        {"name": "adamw", "lr": 0.001},
        "AdamW(parameters, lr=0.001, weight_decay=0.01)",
        "AdamW(0.001, parameters=parameters, weight_decay=0.01)",
        _FLOAT32.format("the weight decay"),
    ),
    _row(
        "AdamW, AMSGrad",
        {"name": "adamw", "lr": 0.001, "amsgrad": True},
        "AdamW(parameters, lr=0.001, amsgrad=True)",
        "AdamW(0.001, parameters=parameters, amsgrad=True)",
    ),
    _row(
        "AdamW, no decay of some, factors by layer",
        {
            "name": "adamw",
            "lr": 0.001,
            "weight_decay": 0.1,
            "no_decay": ["bias"],
            "lr_scale": {"body": 0.1},
        },
        "AdamW([{'params': ...}, {'params': ..., 'lr': 0.0001, 'weight_decay': 0.0}, ...])",
        "AdamW(0.001, parameters=parameters, apply_decay_param_fun=...); "
        "weight.optimize_attr['learning_rate'] = 0.1",
        "In torch a group has a learning rate, in Paddle a factor of the optimizer's. A schedule "
        "that ends above 0 (`eta_min`, `end_lr`) ends there for every group in torch, and at the "
        "factor's share of it in Paddle.",
    ),
    _differs(
        "Adamax",
        {"name": "adamax", "lr": 0.001},
        "Adamax(parameters, lr=0.001)",
        "Adamax(0.001, parameters=parameters)",
        "Grows as gradients come near eps.",
        differs_by=4e-6,
        why="torch adds eps to the gradient's size, Paddle to the decayed maximum, and Paddle "
        "keeps the betas in float32 for the moments but not for the bias correction (3e-7).",
    ),
    _row(
        "NAdam",
        {"name": "nadam", "lr": 0.001, "weight_decay": 0.1},
        "NAdam(parameters, lr=0.001, weight_decay=0.1)",
        "NAdam(0.001, parameters=parameters, weight_decay=0.1)",
        _FLOAT32.format("the betas, epsilon and momentum_decay")
        + " torch keeps the product of momenta in float32 unless the default dtype is float64.",
    ),
    _row(
        "RAdam",
        {"name": "radam", "lr": 0.001, "weight_decay": 0.1},
        "RAdam(parameters, lr=0.001, weight_decay=0.1)",
        "RAdam(0.001, parameters=parameters, weight_decay=0.1)",
        _FLOAT32.format("the betas and epsilon"),
        agrees_to=1e-10,  # the length of the average cancels near the fifth step
    ),
    _row(
        "Adagrad",
        {"name": "adagrad", "lr": 0.01, "weight_decay": 0.1},
        "Adagrad(parameters, lr=0.01, eps=1e-10, weight_decay=0.1)",
        "Adagrad(0.01, 1e-10, parameters, weight_decay=0.1)",
        "Paddle's `epsilon` is 1e-6 by default, torch's 1e-10, which portalign passes. torch's "
        "`lr_decay` has no counterpart in Paddle.",
    ),
    _row(
        "Adadelta",
        {"name": "adadelta", "lr": 1.0},
        "Adadelta(parameters, lr=1.0, rho=0.9)",
        "Adadelta(1.0, 1e-6, 0.9, parameters)",
        "Paddle's `rho` is 0.95 and its learning rate 0.001 by default, torch's 0.9 and 1.0. "
        + _FLOAT32.format("rho and epsilon"),
    ),
    _differs(
        "RMSProp",
        {"name": "rmsprop", "lr": 0.001},
        "RMSprop(parameters, lr=0.001, alpha=0.99, eps=1e-08)",
        "RMSProp(0.001, 0.99, 1e-08, parameters=parameters)",
        "Paddle's `rho` is 0.95 and its `epsilon` 1e-6 by default, torch's 0.99 and 1e-8. Grows as "
        "gradients come near 1e-4, the root of eps.",
        differs_by=8e-2,
        why=_INSIDE,
    ),
    _differs(
        "RMSProp, eps squared in Paddle",
        {"name": "rmsprop", "lr": 0.001, "candidate": {"eps": 1e-16}},
        "RMSprop(parameters, lr=0.001, alpha=0.99, eps=1e-08)",
        "RMSProp(0.001, 0.99, 1e-16, parameters=parameters)",
        "The nearest that Paddle's RMSProp can come.",
        differs_by=3e-5,
        why=_INSIDE,
    ),
    _differs(
        "RMSProp, centered with momentum",
        {"name": "rmsprop", "lr": 0.001, "centered": True, "momentum": 0.9},
        "RMSprop(parameters, lr=0.001, centered=True, momentum=0.9)",
        "RMSProp(0.001, 0.99, 1e-08, 0.9, True, parameters=parameters)",
        "With a constant learning rate only the epsilon remains.",
        differs_by=6e-1,
        why=f"{_INSIDE} Paddle's momentum gathers updates already multiplied by the learning "
        "rate, so a schedule works on it late.",
    ),
    _differs(
        "ASGD",
        {"name": "asgd", "lr": 0.01},
        "ASGD(parameters, lr=0.01, lambd=0.0001, alpha=0.75)",
        "ASGD(0.01, 1, parameters)",
        "Two methods of one name. The averaged weights of torch's are kept beside the model and "
        "not compared.",
        differs_by=2e-1,
        why="torch's averages weights, lets them decay by `lambd` and takes the learning rate of "
        "the iteration before; Paddle's averages the gradients of its last `batch_num` batches, "
        "here 1.",
    ),
    _differs(
        "ASGD without lambd",
        {"name": "asgd", "lr": 0.01, "lambd": 0.0},
        "ASGD(parameters, lr=0.01, lambd=0.0)",
        "ASGD(0.01, 1, parameters)",
        "With a constant learning rate both are SGD. torch rounds the learning rate to float32 "
        "unless the default dtype is float64.",
        differs_by=2e-1,
        why="torch's takes the learning rate of the iteration before.",
    ),
    _row(
        "Rprop",
        {"name": "rprop", "lr": 0.01, "step_max": 0.1},
        "Rprop(parameters, lr=0.01, step_sizes=(1e-06, 0.1))",
        "Rprop(0.01, (1e-06, 0.1), parameters)",
        "Paddle's smallest step is 1e-5 by default, torch's 1e-6. Paddle takes no scheduler, and "
        "torch ignores one after the first step. A gradient that is zero in theory moves by the "
        "sign of its rounding.",
        agrees_to=0.0,
    ),
    _row(
        "LBFGS",
        {"name": "lbfgs", "lr": 0.05, "max_iter": 2, "history_size": 10},
        "LBFGS(parameters, lr=0.05, max_iter=2, history_size=10)",
        "LBFGS(0.05, max_iter=2, history_size=10, parameters=parameters)",
        "Measured here alone, on a logistic regression: it evaluates the loss several times an "
        "iteration, which the backward step doesn't do.",
    ),
    _row(
        "LBFGS, line search",
        {"name": "lbfgs", "lr": 1.0, "max_iter": 2, "line_search": "strong_wolfe"},
        "LBFGS(parameters, lr=1.0, max_iter=2, line_search_fn='strong_wolfe')",
        "LBFGS(1.0, max_iter=2, line_search_fn='strong_wolfe', parameters=parameters)",
        "As LBFGS. With `max_iter` 1 and a learning rate other than 1 the searches differ.",
        agrees_to=1e-9,  # near the minimum the search divides by differences of the loss
    ),
    _row(
        "clipping by value",
        {"name": "sgd", "lr": 0.01, "clip_value": 0.01},
        "clip_grad_value_(parameters, 0.01)",
        "grad_clip=ClipGradByValue(0.01)",
    ),
    _row(
        "clipping by norm",
        {"name": "sgd", "lr": 0.01, "clip_each_norm": 0.03},
        "clip_grad_norm_([parameter], 0.03) for each parameter",
        "grad_clip=ClipGradByNorm(0.03)",
        "torch divides by norm + 1e-6, Paddle by the norm: natively 1e-6 / norm stays (5e-3 at a "
        "norm of 2e-4); torch's twin leaves it out. Paddle's has no float64 kernel on CPU, so its "
        "twin multiplies by itself.",
    ),
    _row(
        "clipping by global norm",
        {"name": "sgd", "lr": 0.01, "clip_norm": 0.03},
        "clip_grad_norm_(parameters, 0.03)",
        "grad_clip=ClipGradByGlobalNorm(0.03)",
        "torch divides by norm + 1e-6, as above. Paddle clips each parameter group by its own "
        "norm: don't give it groups.",
    ),
    _row(
        "gradient accumulation",
        {"name": "adam", "lr": 0.001, "clip_norm": 0.03},
        "(loss / 4).backward() for each of 4 batches, then optimizer.step()",
        "(loss / 4).backward() for each of 4 batches, then optimizer.step()",
        "Both add gradients up until they are cleared, and neither divides: portalign divides each "
        "loss. What is clipped is the sum.",
        accumulate=4,
    ),
)
