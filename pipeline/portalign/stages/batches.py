"""The batches a port yields: loaded, checked, and shared so that both sides eat the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from portalign.errors import InputError
from portalign.frameworks.base import Batch
from portalign.functions import describe, load_function
from portalign.records import Array, Kind, TensorKey, Trace
from portalign.request import CaptureRequest


def own_batches(request: CaptureRequest) -> Iterator[dict[str, Array]]:
    """Yield the batches of this side's own data function, checked one by one.

    Raises:
        InputError: it raises, yields nothing, or yields something other than dicts of numpy arrays.
    """
    function = load_function(request.batches)
    n_batches = 0
    try:
        for batch in function(dict(request.settings)):
            yield _checked(batch, request.batches, n_batches)
            n_batches += 1
    except InputError:
        raise
    except (Exception, SystemExit) as err:
        raise InputError(
            f"{request.batches} raised {describe(err)} at batch {n_batches}",
            why="without batches neither side can run",
            do="run the function by itself and mend it; the full traceback is in this side's log",
        ) from err
    if not n_batches:
        raise InputError(
            f"{request.batches} yielded no batch",
            why="a step without data compares nothing",
            do="make it yield at least one dict of numpy arrays",
        )


def first_batches(request: CaptureRequest, n_batches: int) -> list[dict[str, Array]]:
    """The first batches, fewer if the function yields fewer."""
    return list(islice(own_batches(request), n_batches))


def batch_key(field: str, index: int) -> TensorKey:
    """The key under which a field of the index-th batch is recorded."""
    return TensorKey(Kind.INPUT, field, iteration=index)


def batches_of(trace: Trace) -> list[dict[str, Array]]:
    """Read back batches that were recorded under `batch_key`, in order."""
    batches: dict[int, dict[str, Array]] = {}
    for record in trace.records:
        if record.key.kind is Kind.INPUT:
            batches.setdefault(record.key.iteration, {})[record.key.path] = record.array
    return [batches[index] for index in sorted(batches)]


def model_arguments(batch: Batch, request: CaptureRequest) -> dict[str, Array]:
    """The part of a batch that goes to the model, under this side's argument names.

    What `inputs:` names goes under the names given there, labels too; the other fields but the
    labels go under their own.

    Raises:
        InputError: `inputs:` names a field that isn't there.
    """
    missing = sorted(set(request.inputs.values()) - set(batch))
    if missing:
        raise InputError(
            f"`inputs:` of the {request.role.value} names {', '.join(missing)}, "
            f"the batch has {', '.join(batch)}",
            why="the model can't be called without its arguments",
            do="correct `inputs:` (model argument: batch field) in the port file",
        )
    mapped = {argument: batch[field] for argument, field in request.inputs.items()}
    spoken_for = {*request.inputs.values(), *request.labels}
    return mapped | {name: array for name, array in batch.items() if name not in spoken_for}


def _checked(batch: object, source: str, index: int) -> dict[str, Array]:
    if not isinstance(batch, Mapping) or not batch:
        raise InputError(
            f"{source} yielded {type(batch).__name__} as batch {index}",
            why="both sides are fed the same named arrays",
            do="yield a non-empty dict of field name -> numpy array",
        )
    for name, value in batch.items():
        if not isinstance(value, np.ndarray) or value.dtype.hasobject or value.dtype.kind in "USMm":
            found = (
                f"dtype {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            )
            raise InputError(
                f"{source}: field {name!r} of batch {index} is {found}, not a numeric numpy array",
                why="only plain numbers are the same bytes for both frameworks",
                do="convert it with numpy.asarray(..., dtype=...) before yielding",
            )
    return {str(name): value for name, value in batch.items()}
