"""Call a side's model on a batch, and say in a porter's words why it could not be called.

Every step that runs the model runs it from here, so a field too many reads alike everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.base import Batch, Model
from portalign.frameworks.trainer import Tensor
from portalign.functions import describe
from portalign.records import Precision
from portalign.request import CaptureRequest
from portalign.stages.batches import model_arguments
from portalign.stages.session import Session, tensors_of


def call_model(
    session: Session, model: Model, batch: Batch, precision: Precision, *, grad: bool = False
) -> object:
    """Call the model with the batch's fields but the labels, renamed by `inputs:`.

    Args:
        precision: floating fields become float64 with FLOAT64.
        grad: build a graph for backward.

    Raises:
        InputError: `inputs:` names a field that the batch lacks.
        CaptureError: the model doesn't take these fields, or it raises.
    """
    request = session.request
    arguments = tensors_of(session, model_arguments(batch, request), precision)
    try:
        return session.framework.forward(model, arguments, grad=grad)
    except PortalignError:
        raise
    except (Exception, SystemExit) as err:
        if isinstance(err, TypeError) and (complaint := _not_callable_with(model, arguments)):
            raise _wrong_fields(model, arguments, request, complaint) from err
        raise _raised(model, err, batch, request) from err


@contextmanager
def blame(part: str, request: CaptureRequest) -> Iterator[None]:
    """Say which part of a training iteration raised, when something inside does."""
    try:
        yield
    except PortalignError:
        raise
    except (Exception, SystemExit) as err:
        raise CaptureError(
            f"{part} raised {describe(err)}",
            why=f"the {request.role.value} can't go through a training iteration",
            do=f"mend {part} in the port file, or what it works on; the full traceback is in this "
            "side's log",
        ) from err


def _not_callable_with(model: Model, arguments: Iterable[str]) -> str:
    """Why the model's forward can't be called with these names; "" if it can or hides its names."""
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(**dict.fromkeys(arguments))
    except TypeError as err:
        return str(err)
    return ""


def _wrong_fields(
    model: Model, arguments: Mapping[str, Tensor], request: CaptureRequest, complaint: str
) -> CaptureError:
    takes = inspect.signature(model.forward)
    return CaptureError(
        f"the batch gives {', '.join(arguments) or 'nothing'} to the model, but "
        f"{type(model).__name__}.forward takes {takes}: {complaint}",
        why=f"the {request.role.value} can't be called with these fields",
        do="rename them with `inputs: {model argument: batch field}` of the "
        f"{request.role.value} in the port file, or list those that are not for the model under "
        "`labels:`",
    )


def _raised(
    model: Model, err: BaseException, batch: Batch, request: CaptureRequest
) -> CaptureError:
    shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in batch.items())
    return CaptureError(
        f"{type(model).__name__} raised {describe(err)}; the batch holds {shapes}",
        why=f"the {request.role.value} has no outputs to compare",
        do="mend the model or the batches; the full traceback is in this side's log",
    )
