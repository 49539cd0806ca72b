"""Two models are one only if all that decides what they compute is equal, not numbers alone."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portalign import frameworks
from portalign.stages.described import described
from portalign.stages.fingerprint import fingerprint

pytestmark = pytest.mark.framework


def _scaled(by: float) -> Callable[[float], float]:
    return lambda x: x * by


def _model(**settings: Any) -> Any:
    """A module of this file's own class with the given attributes."""
    from torch import nn

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)
            for name, value in settings.items():
                setattr(self, name, value)

    return Own()


def _hash(model: Any) -> str:
    return fingerprint(model, frameworks.load("torch").structure(model))


def _transformers(attention: str) -> Any:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    config = BertConfig(num_hidden_layers=1, vocab_size=9, **sizes)
    config._attn_implementation = attention
    return BertModel(config)


# how two settings of one class differ; each is also compared with itself, made again
SETTINGS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "tuple": lambda: ((1, 1), (3, 3)),
    "list": lambda: ([1, 2], [2, 1]),
    "none": lambda: (None, 0),
    "dict": lambda: ({"a": 1}, {"a": 2}),
    "set": lambda: ({"a", "b"}, {"a", "c"}),
    "builtin": lambda: (math.tanh, math.sin),
    "lambda": lambda: (lambda x: x + 1, lambda x: x + 2),
    "closure": lambda: (_scaled(1.0), _scaled(2.0)),
    "partial": lambda: (functools.partial(round, ndigits=1), functools.partial(round, ndigits=2)),
    "class": lambda: (int, float),
    "config": lambda: (SimpleNamespace(eps=1e-5), SimpleNamespace(eps=1e-6)),
    "array": lambda: (np.arange(3), np.arange(3) + 1),
    "nested": lambda: ({"a": [(1, {"b": None})]}, {"a": [(1, {"b": 0})]}),
}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("name", ["act", "_act"])
def test_models_with_other_settings_are_two_models(kind: str, name: str) -> None:
    (one, other), (again, _) = SETTINGS[kind](), SETTINGS[kind]()
    hashes = [_hash(_model(**{name: value})) for value in (one, other, again)]

    assert hashes[0]
    assert hashes[0] != hashes[1]
    assert hashes[0] == hashes[2]


def test_an_activation_of_the_porters_own_is_another_than_the_frameworks() -> None:
    from torch.nn import functional as F

    def silu(x: Any) -> Any:
        return x * x.sigmoid()

    assert _hash(_model(act=F.silu)) != _hash(_model(act=silu))
    assert _hash(_model(act=silu)) == _hash(_model(act=silu))


def test_one_transformers_class_with_two_attentions_is_two_models() -> None:
    eager, sdpa, again = (_hash(_transformers(name)) for name in ("eager", "sdpa", "eager"))

    assert eager != sdpa
    assert eager == again


def test_weights_and_what_has_no_values_to_tell_do_not_count() -> None:
    import logging
    import threading

    import torch

    def model() -> Any:
        made = _model(lock=threading.Lock(), log=logging.getLogger("a"), table=torch.rand(2))
        made.myself = [made]
        return made

    assert _hash(model()) == _hash(model())


def test_the_text_is_the_same_in_every_process() -> None:
    code = (
        "import math\nfrom types import SimpleNamespace as S\n"
        "from portalign.stages.described import described\n"
        "made = S(a={'x', 'y', 'z'}, f=lambda v: v in {'p', 'q'}, o=math.tanh, s=S(t=(1,)))\n"
        "print(described(made))"
    )
    command = [sys.executable, "-c", code]

    texts = {subprocess.run(command, capture_output=True, check=True).stdout for _ in range(3)}

    assert len(texts) == 1
    assert described((1, 1)) != described((1, 2))
