"""Random numbers in torch, caught where the dispatcher makes them: dropout of every sort and name.

``F.dropout``, attention's ``dropout_p``, an LSTM's inner dropout and ``torch.rand`` all come down
to a few operations (torch 2.13, CPU). The framework draws as ever and the values are then replaced,
so its own generator moves as in a bare run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from portalign.frameworks.base import Source
from portalign.frameworks.drawing import KEEP, NORMAL, UNIFORM, VARIES, Whereabouts
from portalign.frameworks.pytorch.modules import from_numpy, to_numpy
from portalign.frameworks.pytorch.watching import follow
from portalign.records import Array

_KEEPS = ("bernoulli", "bernoulli_")
_UNIFORMS = ("rand", "rand_like", "uniform_")
_NORMALS = ("randn", "randn_like", "normal_")
_TRAINED = ("rrelu_with_noise", "rrelu_with_noise_", "native_dropout")  # they draw in training only


@contextmanager
def drawing(model: torch.nn.Module, source: Source) -> Iterator[None]:
    """While open, what the model draws goes through the source."""
    whereabouts = Whereabouts()
    with follow(model, whereabouts), _Draws(source, whereabouts):
        yield


class _Draws(TorchDispatchMode):
    def __init__(self, source: Source, whereabouts: Whereabouts) -> None:
        super().__init__()
        self._source = source
        self._whereabouts = whereabouts

    def __torch_dispatch__(
        self,
        func: Any,
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return result
        given = _named(func, args, kwargs or {})
        name = func.overloadpacket.__name__
        if name in _TRAINED and not given.get("train", given.get("training")):
            return result
        if name == "native_dropout":  # what dropout is on a GPU: (output, mask)
            return self._dropped(given, result)
        told = _told(name, given, args)
        if told is None or not isinstance(result, torch.Tensor):
            self._source.unknown(self._whereabouts.path, name)
            return result
        kind, terms = told
        self._replace(kind, terms, result)
        return result

    def _replace(self, kind: str, terms: tuple[float, ...], drawn: torch.Tensor) -> bool:
        own: Array = np.array(to_numpy(drawn))
        own = own != 0 if kind == KEEP else own
        values = self._source.draw(self._whereabouts.path, kind, terms, own)
        if values is None:
            return False
        drawn.copy_(from_numpy(np.array(values)))
        return True

    def _dropped(
        self, given: Mapping[str, Any], result: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        kept, mask = 1.0 - given["p"], result[1]
        if not self._replace(KEEP, (kept,), mask):
            return result
        return given["input"] * mask * (1.0 / kept if kept else 0.0), mask


def _named(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the operation's schema, defaults filled in."""
    entries = func._schema.arguments
    given = {entry.name: entry.default_value for entry in entries}
    given.update(zip((entry.name for entry in entries), args, strict=False))
    return {**given, **kwargs}


def _told(
    name: str, given: Mapping[str, Any], args: tuple[Any, ...]
) -> tuple[str, tuple[float, ...]] | None:
    """Kind and terms of a draw that can be replaced; None of any other."""
    if name in _KEEPS:
        return KEEP, (_number(given["p"] if "p" in given else args[0]),)
    for names, kind, terms in (
        (_UNIFORMS, UNIFORM, (("from", 0.0), ("to", 1.0))),
        (_NORMALS, NORMAL, (("mean", 0.0), ("std", 1.0))),
    ):
        if name in names:
            return kind, tuple(_number(given.get(term, usual)) for term, usual in terms)
    return None


def _number(value: Any) -> float:
    """One number; of a tensor its only value, or `VARIES`."""
    if not isinstance(value, torch.Tensor):
        return float(value)
    low, high = value.min().item(), value.max().item()
    return float(low) if low == high else VARIES
