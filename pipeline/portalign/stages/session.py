"""One side of one step while it runs: its framework, its trace, its model with the right weights.

Opens the model (building it, carrying the reference's weights to the candidate) and moves it
between its native precision and its float64 twin.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from portalign.errors import CaptureError, PortalignError
from portalign.frameworks.base import Batch, Framework, Model
from portalign.frameworks.trainer import Tensor
from portalign.functions import describe, load_function, source_sha256
from portalign.mapping.weights import WeightPlan
from portalign.records import Array, Precision, Role, SideInfo, Step, Structure, Trace
from portalign.request import CaptureRequest
from portalign.stages import batches, exchange, recording, room, weights, windows
from portalign.stages.fingerprint import fingerprint
from portalign.stages.recorder import Recorder
from portalign.store import state_sha256


@final
@dataclass(slots=True)
class Session:
    """What a stage works with. Mutable on purpose: notes and timings gather while it runs."""

    request: CaptureRequest
    framework: Framework
    recorder: Recorder
    flags: dict[str, str]
    precisions: tuple[Precision, ...]
    twin: str = "on"
    structure: Structure | None = None
    plan: WeightPlan = field(default_factory=lambda: WeightPlan(()))
    weights_sha256: str = ""
    inputs_sha256: str = ""
    model_sha256: str = ""
    optimizer: tuple[str, dict[str, float]] = ("", {})
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
            optimizer=self.optimizer[0],
            optimizer_arguments=self.optimizer[1],
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
            for index, batch in enumerate(_first_batches(session.request, n_batches))
            for name, array in batch.items()
        )
        exchange.publish(folder, items, session.info())
    trace = exchange.await_trace(folder)
    session.inputs_sha256 = state_sha256((str(r.key), r.array) for r in trace.records)
    return batches.batches_of(trace)


def _first_batches(request: CaptureRequest, n_batches: int) -> list[dict[str, Array]]:
    if request.recording:
        return recording.recorded_batches(request)[:n_batches]
    return batches.first_batches(request, n_batches)


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
    if told := windows.windows(model, session.structure):
        session.flags[windows.FLAG] = told
    with session.timed("wait"):
        published = weights.folder(session.folder, Role.REFERENCE)
        reference = exchange.await_trace(published) if is_candidate else None
        _decide_twin(session, reference)
        if is_candidate:
            _await_turn(session)
    with session.timed("weights"):
        if reference is not None:
            session.plan = weights.load_carried(
                framework, model, reference, session.structure, request.weights
            )
        elif request.recording:
            mode = recording.load_initial(framework, model, session.structure, request)
            if mode != request.mode and request.step is Step.BACKWARD:
                session.notes.append(
                    f"the recorded training ran in {mode} mode, here it runs in {request.mode} mode"
                )
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
    """Run the block with the model in this precision.

    FLOAT64 comes last: a model that is lifted whole stays lifted, one by segments doesn't.
    """
    if precision is Precision.NATIVE:
        yield
        return
    with _twin_of(session, model) as notes, session.framework.lifted() as found:
        yield
    session.lifted += (*notes, *found)


@contextmanager
def _twin_of(session: Session, model: Model) -> Iterator[tuple[str, ...]]:
    framework, other = session.framework, session.request.other_framework
    if session.twin != "segments":
        yield framework.lift(model, other_framework=other)
        return
    try:
        with framework.segments(model, other_framework=other) as notes:
            yield notes
    except CaptureError as err:
        raise CaptureError(
            f"in the float64 twin: {err.found}",
            why="lifted by segments, a parameter that no module holds by name stays native",
            do="--set twin=on where memory allows, or --set twin=off",
        ) from err


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


def _decide_twin(session: Session, reference: Trace | None) -> None:
    """Both sides must agree on whether there is a twin, for one of two would be useless: the
    reference decides, the candidate follows.
    """
    if reference is not None and reference.info is not None:
        session.twin = reference.info.flags["twin"]
    else:
        session.twin, note = room.choose_twin(
            session.request, session.structure, free_bytes=exchange.available_bytes()
        )
        session.notes += [note] if note else []
    if session.twin == "off":
        session.precisions = (Precision.NATIVE,)
    session.flags["twin"] = session.twin


def _await_turn(session: Session) -> None:
    """Wait for the reference to end where both can't run at once."""
    if session.request.parallel == "auto" and not room.fits_both(
        session.request,
        session.structure,
        twin=session.twin,
        free_bytes=exchange.available_bytes(),
    ):
        exchange.await_trace(session.folder / Role.REFERENCE.value)
