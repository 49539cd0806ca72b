"""Mapping real models: after carrying, both sides compute the same. Torch comes before paddle."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
paddle = pytest.importorskip("paddle")

from portalign.errors import MappingError  # noqa: E402  (torch must be imported first)
from portalign.mapping.names import match_state  # noqa: E402
from structures import (  # noqa: E402
    CLOSE,
    difference,
    floats,
    line_up,
    pairs_of,
    randomise,
    structure,
    tokens,
)

nn, pnn = torch.nn, paddle.nn


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    paddle.seed(0)


SMALL = {
    "square mlp, named": (
        lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6)),
        lambda: pnn.Sequential(pnn.Linear(6, 6), pnn.ReLU(), pnn.Linear(6, 6)),
        floats(3, 6),
    ),
    "sequential with one more dropout": (
        lambda: nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(6, 6), nn.Tanh())]),
        lambda: pnn.Sequential(
            *[m for _ in range(4) for m in (pnn.Linear(6, 6), pnn.Tanh(), pnn.Dropout())]
        ),
        floats(3, 6),
    ),
    "embedding": (lambda: nn.Embedding(6, 6), lambda: pnn.Embedding(6, 6), tokens(6, 2, 3)),
    "conv 1d": (lambda: nn.Conv1d(4, 4, 3), lambda: pnn.Conv1D(4, 4, 3), floats(2, 4, 9)),
    "grouped conv": (
        lambda: nn.Conv2d(4, 8, 3, groups=2),
        lambda: pnn.Conv2D(4, 8, 3, groups=2),
        floats(2, 4, 9, 9),
    ),
    "conv transpose": (
        lambda: nn.ConvTranspose2d(4, 4, 3, stride=2),
        lambda: pnn.Conv2DTranspose(4, 4, 3, stride=2),
        floats(2, 4, 5, 5),
    ),
    "batch norm": (lambda: nn.BatchNorm2d(3), lambda: pnn.BatchNorm2D(3), floats(2, 3, 4, 4)),
    "instance norm": (
        lambda: nn.InstanceNorm2d(3, affine=True),
        lambda: pnn.InstanceNorm2D(3),
        floats(2, 3, 4, 4),
    ),
    "group norm": (lambda: nn.GroupNorm(2, 4), lambda: pnn.GroupNorm(2, 4), floats(2, 4, 3, 3)),
    "layer norm over two axes": (
        lambda: nn.LayerNorm([4, 4]),
        lambda: pnn.LayerNorm([4, 4]),
        floats(2, 4, 4),
    ),
    "prelu": (lambda: nn.PReLU(4), lambda: pnn.PReLU(4), floats(2, 4, 3, 3)),
    "two-layer bidirectional lstm": (
        lambda: nn.LSTM(5, 5, 2, bidirectional=True, batch_first=True),
        lambda: pnn.LSTM(5, 5, 2, direction="bidirect"),
        floats(2, 4, 5),
    ),
    "gru": (lambda: nn.GRU(5, 5, batch_first=True), lambda: pnn.GRU(5, 5), floats(2, 4, 5)),
    "rnn": (lambda: nn.RNN(5, 5, batch_first=True), lambda: pnn.SimpleRNN(5, 5), floats(2, 4, 5)),
    "lstm cell": (lambda: nn.LSTMCell(5, 5), lambda: pnn.LSTMCell(5, 5), floats(3, 5)),
    "encoder layer, q k v packed": (
        lambda: nn.TransformerEncoderLayer(8, 2, 8, batch_first=True),
        lambda: pnn.TransformerEncoderLayer(8, 2, 8),
        floats(2, 4, 8),
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_carried_module_computes_what_the_reference_computes(name: str) -> None:
    build, build_candidate, inputs = SMALL[name]
    reference, candidate = build(), build_candidate()
    randomise(reference)

    line_up(reference, candidate)

    assert difference(reference, candidate, inputs) < CLOSE


def test_a_square_weight_loaded_the_wrong_way_would_show_in_these_tests() -> None:
    build, build_candidate, inputs = SMALL["square mlp, named"]
    reference, candidate = build(), build_candidate()

    line_up(reference, candidate, layout={"2.weight": "as_is"})

    assert difference(reference, candidate, inputs) > 1e4 * CLOSE


@pytest.mark.parametrize("name", ["square mlp, named", "gru", "encoder layer, q k v packed"])
def test_the_way_back_from_paddle_to_torch_computes_the_same_too(name: str) -> None:
    build, build_candidate, inputs = SMALL[name]
    reference, candidate = build_candidate(), build()

    line_up(reference, candidate)

    assert difference(reference, candidate, inputs) < CLOSE


@pytest.mark.parametrize("sizes", [{}, {"kdim": 4, "vdim": 6}], ids=["packed", "kdim"])
def test_multi_head_attention_computes_the_same_packed_or_not(sizes: dict[str, int]) -> None:
    reference = nn.MultiheadAttention(8, 2, batch_first=True, **sizes)
    randomise(reference)
    candidate = pnn.MultiHeadAttention(8, 2, **sizes)
    inputs = floats(2, 3, 8), floats(2, 5, sizes.get("kdim", 8)), floats(2, 5, sizes.get("vdim", 8))

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, *inputs) < CLOSE
    assert pairs_of(plan)["in_proj_bias"] == "q_proj.bias+k_proj.bias+v_proj.bias"
    assert any("packs q, k and v in this order" in str(line) for line in plan.audit)


class _Shop(nn.Module):  # type: ignore[misc]  # torch is not read by the type checker
    """Two square layers under the given names, used in the order of `order`."""

    def __init__(self, names: tuple[str, str], order: tuple[str, str]) -> None:
        super().__init__()
        for name in names:
            self.add_module(name, nn.Linear(6, 6))
        self.order = order

    def forward(self, x: Any) -> Any:
        first, second = (getattr(self, name) for name in self.order)
        return second(torch.tanh(first(x)))


def test_a_candidate_that_registers_its_layers_the_other_way_round_computes_the_same() -> None:
    reference = _Shop(("query", "key"), ("query", "key"))
    candidate = _Shop(("k_proj", "q_proj"), ("q_proj", "k_proj"))

    line_up(reference, candidate)

    assert difference(reference, candidate, floats(3, 6)) < CLOSE


class _TiedTorch(nn.Module):  # type: ignore[misc]
    def __init__(self, *, is_tied: bool) -> None:
        super().__init__()
        self.wte = nn.Embedding(11, 6)
        self.ln_f = nn.LayerNorm(6)
        self.lm_head = nn.Linear(6, 11, bias=False)
        if is_tied:
            self.lm_head.weight = self.wte.weight

    def forward(self, ids: Any) -> Any:
        return self.lm_head(self.ln_f(self.wte(ids)))


class _TiedPaddle(pnn.Layer):  # type: ignore[misc]
    """Ties as paddle ports do: the head multiplies by the embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = pnn.Embedding(11, 6)
        self.norm = pnn.LayerNorm(6)

    def forward(self, ids: Any) -> Any:
        hidden = self.norm(self.word_embeddings(ids))
        return paddle.matmul(hidden, self.word_embeddings.weight, transpose_y=True)


class _UntiedPaddle(_TiedPaddle):
    def __init__(self) -> None:
        super().__init__()
        self.lm_head = pnn.Linear(6, 11, bias_attr=False)

    def forward(self, ids: Any) -> Any:
        return self.lm_head(self.norm(self.word_embeddings(ids)))


@pytest.mark.parametrize("candidate_class", [_TiedPaddle, _UntiedPaddle])
def test_a_tied_head_reaches_a_tied_and_an_untied_candidate(candidate_class: Any) -> None:
    reference, candidate = _TiedTorch(is_tied=True), candidate_class()
    randomise(reference)

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, tokens(11, 2, 5)) < CLOSE
    assert any("lm_head.weight is tied to wte.weight" in str(line) for line in plan.audit)


def test_an_untied_reference_does_not_fit_a_candidate_without_a_head() -> None:
    reference, candidate = _TiedTorch(is_tied=False), _TiedPaddle()

    with pytest.raises(MappingError, match=r"no place in the candidate:\s+lm_head.weight"):
        match_state(structure(reference), structure(candidate))


def test_ambiguous_siblings_of_a_real_model_are_refused_with_their_candidates() -> None:
    reference = _Shop(("left", "right"), ("left", "right"))
    candidate = _Shop(("alpha", "omega"), ("alpha", "omega"))

    with pytest.raises(MappingError, match=r"left.weight .* could be alpha.weight or omega.weight"):
        match_state(structure(reference), structure(candidate))
    renames = [[r"left\.(.*)", r"alpha.\1"], [r"right\.(.*)", r"omega.\1"]]
    line_up(reference, candidate, rename=renames)

    assert difference(reference, candidate, floats(3, 6)) < CLOSE
