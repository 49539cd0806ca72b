"""How keepers are hung on a model's doors; each framework says what its hooks and tensors are like.

What a keeper does at a door is `frameworks.watching`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from portalign.frameworks.base import Model, Replacements, Sink
from portalign.frameworks.trainer import Tensor
from portalign.frameworks.watching import Doorkeeper, Grafter, Keeper, LeafFinder
from portalign.records import Array

Door = tuple[str, Any, str]  # path, module, module type


@final
@dataclass(frozen=True, slots=True)
class Hooks:
    """A framework's hooks and tensors, as far as watching and grafting need to know them.

    Attributes:
        doors: path, module and type of every module of a model, a shared one once.
        before: name of the module method that registers a hook before forward.
        after: likewise after forward; the frameworks call it differently.
        is_tensor: says what is one.
        put: gives a tensor other values and keeps it in the graph.
        version: counts the changes in place of a tensor.
        wants_gradient: says whether a tensor will get a gradient.
    """

    doors: Callable[[Model], Iterator[Door]]
    before: str
    after: str
    is_tensor: Callable[[object], bool]
    put: Callable[[Tensor, Array], Tensor]
    version: Callable[[Tensor], int]
    wants_gradient: Callable[[Tensor], bool]

    def watch(
        self, model: Model, sink: Sink, find_leaves: LeafFinder, *, gradients: bool
    ) -> AbstractContextManager[None]:
        """Send inputs and outputs (and output gradients) of every module to the sink while open."""
        wants_gradient = self.wants_gradient if gradients else None
        return self._hang(model, Doorkeeper(sink, find_leaves, wants_gradient))

    def graft(
        self, model: Model, replacements: Replacements, sink: Sink, *, gradients: bool
    ) -> AbstractContextManager[None]:
        """Send what arrives at every door to the sink and let the replacement pass, while open."""
        wants_gradient = self.wants_gradient if gradients else None
        return self._hang(
            model,
            Grafter(replacements, sink, self.is_tensor, self.put, self.version, wants_gradient),
        )

    def follow(self, model: Model, keeper: Keeper) -> AbstractContextManager[None]:
        """Tell the keeper of every module that begins and ends, while open."""
        return self._hang(model, keeper)

    def _hang(self, model: Model, keeper: Keeper) -> AbstractContextManager[None]:
        return _hung(self.doors(model), keeper, before=self.before, after=self.after)


@contextmanager
def _hung(doors: Iterable[Door], keeper: Keeper, *, before: str, after: str) -> Iterator[None]:
    """Hang the keeper on every door while open."""
    with ExitStack() as hooks:
        hooks.callback(keeper.hooks.remove)
        for path, module, module_type in doors:
            enter = partial(_enter, keeper=keeper, path=path, module_type=module_type)
            leave = partial(_leave, keeper=keeper, path=path, module_type=module_type)
            hooks.callback(getattr(module, before)(enter, with_kwargs=True).remove)
            hooks.callback(getattr(module, after)(leave, with_kwargs=True).remove)
        yield


def _enter(
    _module: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    keeper: Keeper,
    path: str,
    module_type: str,
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    return keeper.enter(path, module_type, args, kwargs)


def _leave(
    _module: object,
    _args: tuple[Any, ...],
    _kwargs: dict[str, Any],
    output: object,
    *,
    keeper: Keeper,
    path: str,
    module_type: str,
) -> object | None:
    return keeper.leave(path, module_type, output)
