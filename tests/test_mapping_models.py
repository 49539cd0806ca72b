"""Mapping real models: after carrying, both sides compute the same. Torch comes before paddle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
paddle = pytest.importorskip("paddle")

from portalign.errors import MappingError  # noqa: E402  (torch must be imported first)
from portalign.mapping.names import match_state  # noqa: E402
from portalign.ports.bert import paddle_side as paddle_bert  # noqa: E402
from portalign.ports.bert import torch_side as torch_bert  # noqa: E402
from structures import CLOSE, difference, line_up, pairs_of, structure  # noqa: E402

nn, pnn = torch.nn, paddle.nn


def floats(*shape: int) -> Any:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def tokens(n_words: int, *shape: int) -> Any:
    return np.random.default_rng(7).integers(0, n_words, size=shape)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    paddle.seed(0)


def _randomise(model: Any) -> None:
    """Give norms and statistics values that a swap would change."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)


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
    _randomise(reference)

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
    _randomise(reference)
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
    _randomise(reference)

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, tokens(11, 2, 5)) < CLOSE
    assert any("lm_head.weight is tied to wte.weight" in str(line) for line in plan.audit)


def test_an_untied_reference_does_not_fit_a_candidate_without_a_head() -> None:
    reference, candidate = _TiedTorch(is_tied=False), _TiedPaddle()

    with pytest.raises(MappingError, match=r"no place in the candidate:\s+lm_head.weight"):
        match_state(structure(reference), structure(candidate))


def test_the_shipped_bert_port_maps_without_help_and_computes_the_same() -> None:
    reference = torch_bert.build({"size": "mini"})
    candidate = paddle_bert.build({"size": "mini"})
    _randomise(reference)
    ids = tokens(1000, 2, 9)

    plan = line_up(reference, candidate)

    names = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    assert difference(reference, candidate, **names) < CLOSE
    squares = [line for line in plan.audit if "square" in str(line)]
    assert len(squares) == 4 * 3 + 2  # q, k, v, out of three layers; pooler; 64 x 64 positions


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        if stride != 1:
            shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class _ResNet18(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        for at, (n_in, n_out, stride) in enumerate(widths, 1):
            blocks = _Block(n_in, n_out, stride), _Block(n_out, n_out, 1)
            self.add_module(f"layer{at}", nn.Sequential(*blocks))
        self.classifier = nn.Linear(512, 5)

    def forward(self, x: Any) -> Any:
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.classifier(x.mean((2, 3)))


def test_a_torch_resnet_reaches_paddles_own_resnet18() -> None:
    reference, candidate = _ResNet18(), paddle.vision.models.resnet18(num_classes=5)

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, floats(1, 3, 64, 64)) < CLOSE
    assert pairs_of(plan)["layer2.0.shortcut.1.running_var"] == "layer2.0.downsample.1._variance"
    assert "bn1.num_batches_tracked" in plan.harmless()


class _SplitGpt(nn.Module):  # type: ignore[misc]
    """A GPT-2 block with separate q, k and v, as a second library would write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.self_attn = nn.ModuleDict(
            {f"{name}_proj": nn.Linear(width, width) for name in ("v", "k", "q", "out")}
        )
        self.norm2 = nn.LayerNorm(width)
        self.linear2 = nn.Linear(4 * width, width)
        self.linear1 = nn.Linear(width, 4 * width)

    def forward(self, x: Any) -> Any:
        n_batch, n_time, width = x.shape
        y = self.norm1(x)
        q, k, v = (
            self.self_attn[f"{n}_proj"](y).view(n_batch, n_time, 2, -1).transpose(1, 2)
            for n in "qkv"
        )
        core = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.self_attn["out_proj"](core.transpose(1, 2).reshape(n_batch, n_time, width))
        gelu = torch.nn.functional.gelu(self.linear1(self.norm2(x)), approximate="tanh")
        return x + self.linear2(gelu)


def test_the_fused_conv1d_of_gpt2_reaches_separate_linear_layers() -> None:
    from transformers import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    reference = GPT2Block(GPT2Config(n_embd=8, n_head=2, attn_implementation="sdpa"), layer_idx=0)
    _randomise(reference)
    candidate = _SplitGpt(8)

    plan = line_up(reference, candidate)

    assert difference(reference, candidate, floats(2, 5, 8)) < CLOSE
    assert pairs_of(plan)["attn.c_attn.weight"] == (
        "self_attn.q_proj.weight+self_attn.k_proj.weight+self_attn.v_proj.weight"
    )


def test_ambiguous_siblings_of_a_real_model_are_refused_with_their_candidates() -> None:
    reference = _Shop(("left", "right"), ("left", "right"))
    candidate = _Shop(("alpha", "omega"), ("alpha", "omega"))

    with pytest.raises(MappingError, match=r"left.weight .* could be alpha.weight or omega.weight"):
        match_state(structure(reference), structure(candidate))
    renames = [[r"left\.(.*)", r"alpha.\1"], [r"right\.(.*)", r"omega.\1"]]
    line_up(reference, candidate, rename=renames)

    assert difference(reference, candidate, floats(3, 6)) < CLOSE
