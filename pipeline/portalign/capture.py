"""Entry of the child process that runs one side: ``python -m portalign.capture REQUEST.json ...``.

Everything it learns goes to the side's trace; an error goes to ``error.json`` beside it as plain
data, so that the parent can show it without a traceback. Needs the side's framework, numpy and
safetensors only.
"""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from portalign import frameworks
from portalign.errors import CaptureError, ErrorFacts, PortalignError
from portalign.frameworks.base import Model
from portalign.functions import describe
from portalign.records import Role, Step
from portalign.request import CaptureRequest
from portalign.stages import backward, chain, forward, graft, lr_scheduler, metric, probe
from portalign.stages.handover import can_be_grafted
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session
from portalign.store import TraceWriter
from portalign.store.layout import FAILURE, GRAFT, ITERATIONS, PROBE

_STAGES: dict[Step, Callable[[Session], Model | None]] = {
    Step.FORWARD: forward.run,
    Step.METRIC: metric.run,
    Step.LR_SCHEDULER: lr_scheduler.run,
    Step.BACKWARD: backward.run,
}


def run_side(request: CaptureRequest) -> None:
    """Run one side of one step and finish its trace."""
    start = time.perf_counter()
    random.seed(request.seed)
    np.random.seed(request.seed)  # noqa: NPY002 - porters' data code draws from the global one
    framework = frameworks.load(request.framework)
    flags = framework.prepare(seed=request.seed, threads=request.threads, device=request.device)
    writer = TraceWriter(request.side_folder())
    session = Session(
        request, framework, Recorder(framework, writer), flags, precisions=request.precisions
    )
    session.seconds["import"] = time.perf_counter() - start
    with session.timed("total"):
        model = _STAGES[request.step](session)
        if model is not None and request.role is Role.REFERENCE and probe.is_wanted(request):
            _again(session, model, probe.lead, f"{PROBE}/{request.role.value}")
    writer.finish(session.info())
    if model is not None and request.role is Role.CANDIDATE and request.records != "losses":
        _again(session, model, graft.run, GRAFT)
        if probe.is_wanted(request):
            _again(session, model, probe.follow, f"{PROBE}/{request.role.value}")
        if request.step is Step.BACKWARD and can_be_grafted(request):
            _again(session, model, chain.run, ITERATIONS)


def _again(
    session: Session, model: Model, run: Callable[[Session, Model], None], name: str
) -> None:
    """Run a pass that the verdict doesn't rest on (it names what is at fault, or what else would
    be). Where it fails both captures still count: word of what ended it is left beside what there
    is of its trace.
    """
    try:
        run(session, model)
    except (Exception, SystemExit) as err:
        folder = session.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE).write_text(_found(err), encoding="utf-8")
        traceback.print_exc()


def error_file(request: CaptureRequest) -> Path:
    """Where a side that failed says why."""
    return Path(request.folder) / f"{request.role.value}.error.json"


def main(arguments: list[str]) -> int:
    """Run the requests in the named files, one after the other: importing a framework is the dear
    part.

    Returns:
        The exit code: 0 all done, 2 at least one failed; the others are run all the same.
    """
    codes = [_run_file(Path(name)) for name in arguments]
    return max(codes, default=2)


def _run_file(path: Path) -> int:
    request = CaptureRequest.from_json(path.read_text(encoding="utf-8"))
    try:
        run_side(request)
    except (Exception, SystemExit) as err:  # the edge of the process: whatever happened is told
        with suppress(OSError):  # the disk may be what is full
            error_file(request).write_text(json.dumps(_facts(err, request)), encoding="utf-8")
        with suppress(OSError):
            traceback.print_exc()
        return 2
    return 0


def _facts(err: BaseException, request: CaptureRequest) -> ErrorFacts:
    if not isinstance(err, PortalignError):
        err = CaptureError(
            describe(err),
            why=f"the {request.role.value} stopped before its trace was complete",
            do="read the traceback in this side's log, mend the port, and run the step again",
        )
    return err.within(f"{request.role.value}, {request.step.value}").facts()


def _found(err: BaseException) -> str:
    return err.facts()["found"] if isinstance(err, PortalignError) else describe(err)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
