"""Entry of the child process that runs one side: ``python -m portalign.capture REQUEST.json``.

Everything it learns goes to the side's trace; an error goes to ``error.json`` beside it as plain data, so
that the parent can show it without a traceback. Needs the side's framework, numpy and safetensors only.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

from portalign import frameworks
from portalign.errors import CaptureError, ErrorFacts, PortalignError
from portalign.records import Step
from portalign.request import CaptureRequest
from portalign.stages import backward, forward, lr_scheduler, metric
from portalign.stages.recorder import Recorder
from portalign.stages.session import Session
from portalign.store import TraceWriter

_STAGES = {
    Step.FORWARD: forward.run,
    Step.METRIC: metric.run,
    Step.LR_SCHEDULER: lr_scheduler.run,
    Step.BACKWARD: backward.run,
}


def run_side(request: CaptureRequest) -> None:
    """Run one side of one step and finish its trace."""
    start = time.perf_counter()
    framework = frameworks.load(request.framework)
    flags = framework.prepare(seed=request.seed, threads=request.threads, device=request.device)
    writer = TraceWriter(request.side_folder())
    session = Session(
        request, framework, Recorder(framework, writer), flags, precisions=request.precisions
    )
    session.seconds["import"] = time.perf_counter() - start
    with session.timed("total"):
        _STAGES[request.step](session)
    writer.finish(session.info())


def error_file(request: CaptureRequest) -> Path:
    """Where a side that failed says why."""
    return Path(request.folder) / f"{request.role.value}.error.json"


def main(arguments: list[str]) -> int:
    """Run the request in the named file. Returns the exit code: 0 done, 2 failed."""
    request = CaptureRequest.from_json(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        run_side(request)
    except Exception as err:  # the edge of the process: whatever happened becomes facts
        traceback.print_exc()
        error_file(request).write_text(json.dumps(_facts(err, request)), encoding="utf-8")
        return 2
    return 0


def _facts(err: Exception, request: CaptureRequest) -> ErrorFacts:
    if not isinstance(err, PortalignError):
        at = traceback.extract_tb(err.__traceback__)[-1]
        err = CaptureError(
            f"{type(err).__name__}: {err} ({at.filename}, line {at.lineno})",
            why=f"the {request.role.value} stopped before its trace was complete",
            do="read the traceback in this side's log, mend the port, and run the step again",
        )
    return err.within(f"{request.role.value}, {request.step.value}").facts()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
