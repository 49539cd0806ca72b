"""One side of one step while it runs: its framework, its trace, its model with the right weights.

Opens the model (building it, carrying the reference's weights to the candidate) and moves it
between its native precision and its float64 twin.
"""

from __future__ import annotations

import math
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.base import Batch, Framework, Model, Tensor
from portalign.functions import describe, load_function, source_sha256
from portalign.mapping.weights import WeightPlan
from portalign.records import Array, Precision, Role, SideInfo, Step, Structure, Trace
from portalign.request import CaptureRequest
from portalign.stages import batches, exchange, weights
from portalign.stages.fingerprint import fingerprint
from portalign.stages.recorder import Recorder
from portalign.store import state_sha256

# Bytes that both sides need at once per byte of native weights, float64 twin included:
# forward and metric 2 x (1 native + 2 lifted); backward adds gradients and two optimizer moments,
# lifted.
_TWIN_FACTOR = {Step.FORWARD: 6, Step.METRIC: 6, Step.BACKWARD: 18}
_BASE_BYTES = 2 * 2**30  # two processes with their frameworks


@final
@dataclass(slots=True)
class Session:
    """What a stage works with. Mutable on purpose: notes and timings gather while it runs."""

    request: CaptureRequest
    framework: Framework
    recorder: Recorder
    flags: dict[str, str]
    precisions: tuple[Precision, ...]
    structure: Structure | None = None
    plan: WeightPlan = field(default_factory=lambda: WeightPlan(()))
    weights_sha256: str = ""
    inputs_sha256: str = ""
    model_sha256: str = ""
    notes: list[str] = field(default_factory=list)
    lifted: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The step's folder, where both sides' traces stand beside each other."""
        return Path(self.request.folder)

    def info(self) -> SideInfo:
        """How this side was run, as far as it has run."""
        request = self.request
        return SideInfo(
            role=request.role,
            framework=self.framework.name,
            framework_version=self.framework.version,
            python=platform.python_version(),
            device=request.device,
            mode=request.mode,
            seed=request.seed,
            threads=request.threads,
            source=request.build,
            source_sha256=source_sha256(request.build),
            weights_sha256=self.weights_sha256,
            inputs_sha256=self.inputs_sha256,
            model_sha256=self.model_sha256,
            flags={**self.flags, "precisions": ",".join(p.value for p in self.precisions)},
            lifted=self.lifted,
            structure=self.structure,
            notes=tuple(self.notes),
            seconds=dict(self.seconds),
            # kilobytes on Linux, where portalign is developed; bytes on macOS
            peak_memory_bytes=max(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                self.framework.peak_memory_bytes(),
            ),
        )

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the wall time of the block to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


def shared_batches(session: Session, n_batches: int) -> list[dict[str, Array]]:
    """The first batches of the reference's data, the same bytes on both sides."""
    folder = session.folder / exchange.INPUTS
    if session.request.role is Role.REFERENCE:
        items = (
            (batches.batch_key(name, index), array, "")
            for index, batch in enumerate(batches.first_batches(session.request, n_batches))
            for name, array in batch.items()
        )
        exchange.publish(folder, items, session.info())
    trace = exchange.await_trace(folder)
    session.inputs_sha256 = state_sha256((str(r.key), r.array) for r in trace.records)
    return batches.batches_of(trace)


def tensors_of(session: Session, batch: Batch, precision: Precision) -> dict[str, Tensor]:
    """A batch as the framework's tensors."""
    return {
        name: session.framework.tensor(array, precision=precision) for name, array in batch.items()
    }


def open_model(session: Session) -> Model:
    """Build this side's model, give it the reference's weights, publish its initial state.

    Both sides build at the same time; the candidate then waits for the weights.

    Raises:
        CaptureError: the build function raises or returns no model.
        MappingError: the reference's weights can't be carried over without guessing.
    """
    request, framework = session.request, session.framework
    is_candidate = request.role is Role.CANDIDATE
    if is_candidate and request.parallel == "off":
        exchange.await_trace(session.folder / Role.REFERENCE.value)
    with session.timed("build"):
        model = _build(request)
        framework.check_model(model)
        # predictions are scored as an evaluation makes them
        framework.set_mode(model, "eval" if request.step is Step.METRIC else request.mode)
    session.structure = framework.structure(model)
    session.model_sha256 = fingerprint(model, session.structure)
    reference = None
    if is_candidate:
        with session.timed("wait"):
            reference = exchange.await_trace(weights.folder(session.folder, Role.REFERENCE))
            _await_turn(session)
    with session.timed("weights"):
        if reference is not None:
            session.plan = weights.load_carried(
                framework, model, reference, session.structure, request.weights
            )
        _decide_precisions(session, reference)
        place = weights.folder(session.folder, request.role)
        items = weights.own_state(framework, model, session.structure)
        session.weights_sha256 = exchange.publish(place, items, session.info())
    return model


def restore(session: Session, model: Model) -> None:
    """Put the initial state back into the model."""
    place = weights.folder(session.folder, session.request.role)
    weights.load_back(session.framework, model, exchange.await_trace(place))


@contextmanager
def at_precision(session: Session, model: Model, precision: Precision) -> Iterator[None]:
    """Run the block with the model in this precision. FLOAT64 is for good: it comes last."""
    if precision is Precision.NATIVE:
        yield
        return
    session.lifted = session.framework.lift(model, other_framework=session.request.other_framework)
    with session.framework.lifted():
        yield


def _build(request: CaptureRequest) -> object:
    function = load_function(request.build)
    try:
        return function(dict(request.settings))
    except PortalignError:
        raise
    except (Exception, SystemExit) as err:
        raise CaptureError(
            f"{request.build} raised {describe(err)}",
            why=f"without its model the {request.role.value} can't run",
            do="mend the build function; the full traceback is in this side's log",
        ) from err


def _decide_precisions(session: Session, reference: Trace | None) -> None:
    """Both sides must agree on whether there is a twin: the reference decides, the candidate
    follows.
    """
    if reference is not None and reference.info is not None:
        decided = reference.info.flags["precisions"].split(",")
        session.precisions = tuple(Precision(name) for name in decided)
        return
    factor = _TWIN_FACTOR.get(session.request.step, 0)
    wants_twin = Precision.FLOAT64 in session.precisions and session.request.twin == "auto"
    needed = _BASE_BYTES + factor * _state_bytes(session.structure)
    if wants_twin and not exchange.fits(needed):
        session.precisions = (Precision.NATIVE,)
        session.notes.append(
            f"no float64 twin: about {needed / 2**30:.1f} GiB would be needed, "
            f"{exchange.available_bytes() / 2**30:.1f} GiB are free; a tolerance decides instead "
            "(`--set twin=on` insists)"
        )


def _await_turn(session: Session) -> None:
    """Wait for the reference to end where both can't run at once."""
    factor = _TWIN_FACTOR.get(session.request.step, 2)
    needed = _BASE_BYTES + factor * _state_bytes(session.structure)
    if session.request.parallel == "auto" and not exchange.fits(needed):
        exchange.await_trace(session.folder / Role.REFERENCE.value)


def _state_bytes(structure: Structure | None) -> int:
    if structure is None:
        return 0
    sizes = (math.prod(entry.shape) for entry in structure.state if entry.tied_to is None)
    return 4 * sum(sizes)
