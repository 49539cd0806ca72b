"""The BERT port that ships: its reference, and that both sides are one and the same model.

The weights are carried by a name table of this file's own, so that nothing here depends on the
mapping which the port is an example for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from portalign.ports.bert import data

RENAME = (
    ("LayerNorm", "layer_norm"),
    ("encoder.layer.", "encoder.layers."),
    ("attention.self.query", "self_attn.q_proj"),
    ("attention.self.key", "self_attn.k_proj"),
    ("attention.self.value", "self_attn.v_proj"),
    ("attention.output.dense", "self_attn.out_proj"),
    ("attention.output.layer_norm", "norm1"),
    ("intermediate.dense", "linear1"),
    ("output.dense", "linear2"),
    ("output.layer_norm", "norm2"),
)
MODEL_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one side shows on one batch; gradients with the candidate's names and layouts."""

    logits: Array
    hidden_states: tuple[Array, ...]
    gradients: dict[str, Array]


@dataclass(frozen=True, slots=True)
class Sides:
    """The frameworks and the two build functions."""

    torch: Any
    paddle: Any
    build_reference: Callable[[Mapping[str, object]], Any]
    build_candidate: Callable[[Mapping[str, object]], Any]


@pytest.fixture(scope="module")
def sides() -> Sides:
    for package in ("torch", "transformers", "paddle"):  # torch first: the safer order
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tools paddle doesn't find; none is ours
            pytest.importorskip(package, reason=f"needs the {package} package")
    import paddle
    import torch

    from portalign.ports.bert import paddle_side, torch_side

    return Sides(torch, paddle, torch_side.build, paddle_side.build)


def test_reference_is_the_same_every_time_it_is_built(sides: Sides) -> None:
    first, second = (sides.build_reference({"size": "mini"}).state_dict() for _ in range(2))

    assert all(sides.torch.equal(first[name], second[name]) for name in first)


def test_no_bias_and_no_norm_of_the_reference_is_constant(sides: Sides) -> None:
    state = sides.build_reference({"size": "mini"}).named_parameters()
    small = {n: p for n, p in state if n.endswith("bias") or "LayerNorm" in n}

    assert len(small) == 3 * 10 + 4
    for name, parameter in small.items():
        assert parameter.std() > 0.01, name  # half of it would still show a decayed bias


def test_mini_reference_is_neither_at_chance_nor_saturated(sides: Sides) -> None:
    predicted, labels = _predictions(sides, sides.build_reference({"size": "mini"}))
    accuracy = np.mean(predicted == labels)

    assert 0.7 < accuracy < 0.97  # measured 0.85
    assert 0.3 < predicted.mean() < 0.7  # measured 0.56


def test_unknown_size_is_refused_with_the_sizes_there_are(sides: Sides) -> None:
    for build in (sides.build_reference, sides.build_candidate):
        with pytest.raises(ValueError, match="'huge'; this port has mini, base"):
            build({"size": "huge"})


def test_sides_agree_to_rounding_in_float32(sides: Sides) -> None:
    reference, candidate = _pair(sides, {"size": "mini"})

    for batch in islice(data.batches({}), 3):
        # float32: 4e-7 was measured; 12 roundings of 6e-8
        _assert_close(sides, reference, candidate, batch, forward=2e-6, gradient=2e-5)


def test_sides_agree_to_1e_12_when_both_are_float64(sides: Sides) -> None:
    reference, candidate = _pair(sides, {"size": "mini"}, is_double=True)

    for batch in islice(data.batches({}), 3):
        # float64: 5e-16 forward and 5e-15 in gradients were measured
        _assert_close(sides, reference, candidate, batch, forward=1e-13, gradient=1e-12)


@pytest.mark.parametrize(
    ("parameter", "damage"),
    [
        ("bert.encoder.layers.1.self_attn.out_proj.weight", np.transpose),
        ("bert.encoder.layers.0.linear1.bias", np.zeros_like),
        ("bert.encoder.layers.2.norm2.weight", np.ones_like),
    ],
    ids=["square weight untransposed", "bias missing", "norm weight missing"],
)
def test_one_wrong_parameter_is_seen_in_the_logits(
    sides: Sides, parameter: str, damage: Callable[[Array], Array]
) -> None:
    reference, candidate = _pair(sides, {"size": "mini"})
    live = dict(candidate.named_parameters())[parameter]
    live.set_value(np.ascontiguousarray(damage(live.numpy())))
    batch = next(data.batches({}))

    right, wrong = _run_reference(sides, reference, batch), _run_candidate(sides, candidate, batch)

    assert np.abs(right.logits - wrong.logits).max() > 1e-4


def test_padding_does_not_change_a_sentence_on_either_side(sides: Sides) -> None:
    reference, candidate = _pair(sides, {"size": "mini"}, is_double=True)
    batch = next(data.batches({}))
    row = int(batch["attention_mask"].sum(axis=1).argmin())
    n_tokens = int(batch["attention_mask"][row].sum())
    alone = {n: a[row : row + 1, :n_tokens] if a.ndim == 2 else a[[row]] for n, a in batch.items()}

    for run, model in ((_run_reference, reference), (_run_candidate, candidate)):
        together, single = run(sides, model, batch).logits[row], run(sides, model, alone).logits[0]
        np.testing.assert_allclose(single, together, rtol=0, atol=1e-14)  # float64 rounding


def test_base_has_the_published_number_of_parameters(sides: Sides) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    from portalign.ports.bert import torch_side

    with sides.torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(**torch_side.SIZES["base"]))

    assert sum(p.numel() for p in model.parameters()) == 109_483_778  # bert-base-uncased, 2 classes


@pytest.mark.slow
def test_base_sides_agree_and_predict_both_classes(sides: Sides) -> None:
    reference, candidate = _pair(sides, {"size": "base"})
    batch = next(data.batches({}))

    # float32: 7e-7 forward and 9e-6 in gradients were measured
    _assert_close(sides, reference, candidate, batch, forward=3e-6, gradient=5e-5)
    predicted, labels = _predictions(sides, reference, n_batches=8)

    assert 0 < predicted.mean() < 1
    assert 0 < np.mean(predicted == labels) < 1


def _assert_close(
    sides: Sides,
    reference: Any,
    candidate: Any,
    batch: data.Batch,
    *,
    forward: float,
    gradient: float,
) -> None:
    right, port = _run_reference(sides, reference, batch), _run_candidate(sides, candidate, batch)
    # a key's bias shifts all scores of a row alike: its gradient is zero but for rounding
    names = [name for name in right.gradients if not name.endswith("k_proj.bias")]

    assert right.gradients.keys() == port.gradients.keys()
    np.testing.assert_allclose(port.logits, right.logits, rtol=0, atol=forward)
    for ours, theirs in zip(port.hidden_states, right.hidden_states, strict=True):
        assert _relative(ours, theirs) <= forward
    for name in names:
        assert _relative(port.gradients[name], right.gradients[name]) <= gradient, name


def _relative(ours: Array, theirs: Array) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def _pair(sides: Sides, settings: dict[str, object], *, is_double: bool = False) -> tuple[Any, Any]:
    reference, candidate = sides.build_reference(settings), sides.build_candidate(settings)
    if is_double:
        reference.double()
        candidate.to(dtype="float64")
    live = dict(candidate.named_parameters())
    for name, parameter in reference.named_parameters():
        array = _carried(name, parameter.detach().numpy())
        live.pop(_renamed(name)).set_value(np.ascontiguousarray(array))
    assert not live
    return reference, candidate


def _renamed(name: str) -> str:
    for old, new in RENAME:
        name = name.replace(old, new)
    return name


def _carried(name: str, array: Array) -> Array:
    is_linear = array.ndim == 2 and "embeddings" not in name
    return array.T if is_linear else array


def _run_reference(sides: Sides, model: Any, batch: data.Batch) -> Seen:
    tensors = {name: sides.torch.from_numpy(array.copy()) for name, array in batch.items()}
    labels = tensors.pop("labels")
    model.zero_grad()
    outputs = model(**tensors)
    sides.torch.nn.functional.cross_entropy(outputs.logits, labels).backward()
    return Seen(
        outputs.logits.detach().numpy(),
        tuple(state.detach().numpy() for state in outputs.hidden_states),
        {_renamed(n): _carried(n, p.grad.numpy()) for n, p in model.named_parameters()},
    )


def _run_candidate(sides: Sides, model: Any, batch: data.Batch) -> Seen:
    tensors = {name: sides.paddle.to_tensor(array) for name, array in batch.items()}
    labels = tensors.pop("labels")
    model.clear_gradients()
    outputs = model(**tensors)
    sides.paddle.nn.functional.cross_entropy(outputs["logits"], labels).backward()
    return Seen(
        outputs["logits"].numpy(),
        tuple(state.numpy() for state in outputs["hidden_states"]),
        {name: parameter.grad.numpy() for name, parameter in model.named_parameters()},
    )


def _predictions(sides: Sides, model: Any, *, n_batches: int | None = None) -> tuple[Array, Array]:
    chosen = list(islice(data.batches({}), n_batches))
    with sides.torch.no_grad():
        logits = [
            model(**{name: sides.torch.from_numpy(batch[name]) for name in MODEL_INPUTS}).logits
            for batch in chosen
        ]
    predicted: Array = sides.torch.cat(logits).argmax(dim=1).numpy()
    return predicted, np.concatenate([batch["labels"] for batch in chosen])
