"""Write down what a real training loop works with, so that portalign can replay it on both sides.

Three lines in the loop: the state it starts from goes to disk at once, then each batch in order,
until there are enough; training itself is not touched. A port file takes the folder under
`recording:`.

    from portalign.recorder import record

    with record("recording", model, optimizer) as recording:
        for batch in loader:
            recording.batch(images=batch[0], labels=batch[1])
            ...  # forward, backward and step, as before
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

from portalign import frameworks
from portalign.errors import CaptureError, InputError
from portalign.frameworks.base import Framework
from portalign.records import Array, Kind, Role, SideInfo, TensorKey
from portalign.stages.batches import batch_key
from portalign.stages.exchange import publish
from portalign.stages.weights import own_state
from portalign.store import TraceWriter, can_hold, state_sha256
from portalign.store.layout import RECORDED_BATCHES, RECORDED_STATE

SOURCE = "portalign.recorder"


def record(
    folder: str | Path, model: Any, optimizer: Any = None, *, n_batches: int = 10
) -> Recording:
    """Record a training: open it around the loop and hand every batch to `Recording.batch`.

    Parameters, buffers and optimizer state are written here and now, so call it right before the
    first iteration that is to be replayed.

    Args:
        folder: where it goes; an older recording there is replaced.
        model: torch.nn.Module or paddle.nn.Layer, as it is trained; of a wrapper (data parallel,
            compiled) the model inside.
        optimizer: the model's; None if it has kept nothing yet.
        n_batches: as many are written; the recording is whole then and further batches are
            ignored.

    Raises:
        CaptureError: the model is of no known framework.
        InputError: `n_batches` is less than 1.
        TraceError: the folder can't be written.
    """
    if n_batches < 1:
        raise InputError(
            f"n_batches={n_batches}",
            why="a recording without batches replays nothing",
            do="record at least one batch",
        )
    framework = _framework_of(model)
    structure = framework.structure(model)
    info = SideInfo(
        role=Role.REFERENCE,
        framework=framework.name,
        framework_version=framework.version,
        python=platform.python_version(),
        device="",
        mode="train" if model.training else "eval",
        seed=0,
        threads=0,
        source=SOURCE,
        source_sha256="",
        structure=structure,
    )
    items = list(own_state(framework, model, structure))
    kept = framework.optimizer_state(model, optimizer) if optimizer is not None else ()
    for name, slot, value in kept:
        array = np.asarray(value) if isinstance(value, float) else framework.numpy(value)
        items.append((TensorKey(Kind.OPTIMIZER_STATE, name, slot), array, ""))
    weights_sha256 = state_sha256((str(key), array) for key, array, _ in items)
    writer = TraceWriter(Path(folder) / RECORDED_BATCHES)  # an older one's batches go first
    publish(Path(folder) / RECORDED_STATE, items, replace(info, weights_sha256=weights_sha256))
    return Recording(framework, writer, info, n_batches)


@final
class Recording:
    """A recording in progress; made by `record`."""

    def __init__(
        self, framework: Framework, writer: TraceWriter, info: SideInfo, n_batches: int
    ) -> None:
        self._framework = framework
        self._writer = writer
        self._info = info
        self._n_wanted = n_batches
        self._hashes: list[str] = []
        self._is_open = True

    def batch(self, fields: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Write one batch, as it is now: before the model may change it in place.

        Args:
            fields: name -> tensor, numpy array or plain numbers; every field that the model or the
                loss takes.
            named: further fields.

        Raises:
            InputError: a field is no array of numbers, or there is none.
        """
        if not self._is_open:
            return
        index = len(self._hashes)
        arrays = self._arrays(fields, named, index)
        for name, array in arrays.items():
            self._writer.add(batch_key(name, index), array)
        self._hashes.append(state_sha256(arrays.items()))
        if len(self._hashes) == self._n_wanted:
            self._finish()

    def __enter__(self) -> Recording:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End: what came is whole, unless the loop broke (an interruption from the keyboard is no
        break).
        """
        if self._is_open and self._hashes and kind in (None, KeyboardInterrupt):
            self._finish()

    def _finish(self) -> None:
        self._is_open = False
        digest = state_sha256((text, np.zeros(0)) for text in self._hashes)
        self._writer.finish(replace(self._info, inputs_sha256=digest))

    def _arrays(
        self, fields: Mapping[str, Any] | None, named: Mapping[str, Any], index: int
    ) -> dict[str, Array]:
        if fields is not None and not isinstance(fields, Mapping):
            raise InputError(
                f"batch {index} is a {type(fields).__name__}",
                why="both sides get their fields by name",
                do="name them: recording.batch(images=batch[0], labels=batch[1])",
            )
        given = {**(fields or {}), **named}
        if not given:
            raise InputError(
                f"batch {index} has no field",
                why="there is nothing to replay",
                do="hand over what the model and the loss take",
            )
        return {str(name): self._array(str(name), value, index) for name, value in given.items()}

    def _array(self, name: str, value: Any, index: int) -> Array:
        is_tensor = _root(value) == self._framework.name
        array = np.array(self._framework.numpy(value) if is_tensor else value)
        if not can_hold(array.dtype):
            raise InputError(
                f"field {name!r} of batch {index} is a {type(value).__name__} of dtype "
                f"{array.dtype}",
                why="only numbers are the same bytes for both frameworks",
                do="leave it out if neither the model nor the loss takes it, or make it a tensor",
            )
        return array


def _framework_of(model: Any) -> Framework:
    """The framework whose module type the model derives from."""
    for cls in type(model).__mro__:
        name = cls.__module__.partition(".")[0]
        if name in frameworks.NAMES:
            framework = frameworks.load(name)
            framework.check_model(model)
            return framework
    raise CaptureError(
        f"a {type(model).__module__}.{type(model).__name__} is no model of "
        f"{' or '.join(frameworks.NAMES)}",
        why="its parameters and buffers can't be written down",
        do="hand over the torch.nn.Module or paddle.nn.Layer that is trained",
    )


def _root(value: Any) -> str:
    """Package of a value's class."""
    return type(value).__module__.partition(".")[0]
