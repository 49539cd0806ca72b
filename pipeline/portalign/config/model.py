"""The port file as a frozen model: what may stand in it, its defaults, what each side is asked.

Pydantic checks it and exports its schema. A port in this form is complete: references are absolute
and nothing is looked up later: it can be printed, saved with a run and handed to a child process.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, final

from pydantic import Field, PrivateAttr, model_validator

from portalign.config.decisive import decisive, unused
from portalign.config.entries import AsTuple, Entry, EntryField
from portalign.config.parts import (
    Device,
    Function,
    Part,
    Recording,
    Side,
    Texts,
    Tolerance,
    Weights,
)
from portalign.config.references import complaint, source_files
from portalign.errors import PortFileError
from portalign.records import Precision, Role, Step
from portalign.request import CaptureRequest, Json, Spec
from portalign.store.layout import MANIFEST, RECORDED_BATCHES, RECORDED_STATE

NEEDS: dict[Step, tuple[str, ...]] = {
    Step.FORWARD: (),
    Step.METRIC: ("metrics",),
    Step.LR_SCHEDULER: ("optimizer", "lr_scheduler"),
    Step.BACKWARD: ("loss", "optimizer"),
}
_ENTRIES = ("loss", "optimizer", "lr_scheduler")


@final
class Port(Part):
    """A port: two sides, and what is run on both. Made by `load_port`; never changes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Folder under logs/.")
    reference: Side
    candidate: Side
    settings: dict[str, Any] = Field({}, description="Handed to both build functions.")
    batches: Function | None = Field(None, description="batches(settings) yields dicts of arrays.")
    recording: Recording | None = Field(
        None, description="Folder of portalign.recorder: initial state and batches of a training."
    )
    labels: Texts = Field(("labels",), description="Batch fields the model doesn't get.")
    outputs: Texts = Field((), description="Outputs that must be there; default: whatever comes.")
    loss: EntryField | None = None
    optimizer: EntryField | None = None
    lr_scheduler: EntryField | None = None
    metrics: Annotated[tuple[EntryField, ...], AsTuple] = ()
    weights: Weights = Weights()
    iterations: int = Field(10, ge=1, description="Training iterations of the backward step.")
    accumulate: int = Field(
        1, ge=1, description="Batches of each training iteration, whose mean is its loss."
    )
    tolerance: Tolerance = Tolerance()
    mode: Literal["eval", "train"] = "eval"
    seed: int = Field(0, ge=0)
    threads: int = Field(
        0, ge=0, description="Threads of each side; 0 gives each half of the cores."
    )
    device: Device = "cpu"
    twin: Literal["auto", "on", "segments", "off"] = Field(
        "auto", description="Float64 twins of both sides: whole, by segments, or none."
    )
    record: Literal["auto", "all", "losses"] | Annotated[tuple[int, ...], AsTuple] = Field(
        "auto", description="Iterations at which all gradients and parameters are kept."
    )
    parallel: Literal["auto", "on", "off"] = Field("auto", description="Run both sides at once.")
    probe: Literal["auto", "off"] = Field(
        "auto", description="Inputs of portalign's own where the given ones can't decide."
    )

    _file: Path = PrivateAttr(Path("port.yaml"))

    def model_post_init(self, context: Any) -> None:
        """Remember the file that `load_port` read."""
        if context:
            self._file = context["file"]

    @model_validator(mode="after")
    def _both_sides_are_served(self) -> Port:
        for role in Role:
            side = self.side(role)
            for entry_name, entry in self._entries():
                if entry.spec(role, side.framework) is None:
                    raise complaint(
                        f"`{entry_name}` has no function for the {role.value} ({side.framework})",
                        why="each side builds its own",
                        do=f"add `{role.value}: file.py:function` to `{entry_name}`",
                        entry=entry_name,
                    )
            if self.batches is None and side.batches is None and self.recording is None:
                raise complaint(
                    f"the {role.value} has no batches",
                    why="both sides are run on recorded batches",
                    do="add `batches: data.py:batches`, a function that yields dicts of arrays",
                )
        kept = () if isinstance(self.record, str) else self.record
        late = [k for k in kept if not 0 <= k < self.iterations]
        if late:
            raise complaint(
                f"record: {late} is outside of the {self.iterations} iterations",
                why="iterations count from 0",
                do=f"keep to 0 ... {self.iterations - 1}, or raise `iterations:`",
                entry="record",
            )
        return self

    @property
    def file(self) -> Path:
        """The port file this was read from, absolute."""
        return self._file

    @property
    def folder(self) -> Path:
        """The folder of the port file."""
        return self._file.parent

    def side(self, role: Role) -> Side:
        """The reference's or the candidate's part."""
        return self.reference if role is Role.REFERENCE else self.candidate

    def interpreter(self, role: Role) -> str | None:
        """The Python that a side names, absolute, or None where portalign's own is meant.

        A relative path counts from the port file, a bare name is looked up on PATH. Links are kept:
        following one would leave a virtual environment.

        Raises:
            PortFileError: there is no such program.
        """
        named = self.side(role).python
        if named is None:
            return None
        is_path = "/" in named or "\\" in named or named.startswith("~")
        found = shutil.which(str(self.folder / Path(named).expanduser()) if is_path else named)
        if found is None:
            raise PortFileError(
                f"{self.file}: `python:` of the {role.value}: there is no program {named!r}",
                why=f"the {role.value} runs in it",
                do="correct the path, or remove `python:` to use portalign's own interpreter",
            )
        return str(Path(found).absolute())

    def missing(self, step: Step) -> tuple[str, ...]:
        """Entries that a step needs and this port lacks; empty if the step can run."""
        return tuple(entry for entry in NEEDS[step] if not getattr(self, entry))

    def request(self, role: Role, step: Step, folder: Path) -> CaptureRequest:
        """All that one side's child process needs for one step.

        Args:
            role: which side.
            step: what to run.
            folder: the step's folder, where the traces go.

        Raises:
            PortFileError: the port lacks an entry that the step needs.
        """
        if missing := self.missing(step):
            raise PortFileError(
                f"{self.file} has no {' and no '.join(f'`{entry}:`' for entry in missing)}",
                why=f"the {step.value} step has nothing to run without it",
                do=f"add `{missing[0]}:` to the port file, or leave this step out",
            )
        side = self.side(role)
        other = self.side(Role.CANDIDATE if role is Role.REFERENCE else Role.REFERENCE)
        return CaptureRequest(
            role=role,
            step=step,
            port=self.name,
            folder=str(folder.absolute()),
            framework=side.framework,
            other_framework=other.framework,
            build=side.build,
            settings=_copy(self.settings),
            batches=side.batches or self.batches or "",
            recording=self.recording or "",
            has_own_batches=(side.batches or self.batches) != (other.batches or self.batches),
            inputs=dict(side.inputs),
            labels=self.labels,
            outputs=self.outputs,
            loss=self._spec(self.loss, role),
            optimizer=self._spec(self.optimizer, role),
            lr_scheduler=self._spec(self.lr_scheduler, role),
            metrics=tuple(
                replace(spec, label=metric.label())
                for metric in self.metrics
                if (spec := self._spec(metric, role))
            ),
            weights=self.weights.model_dump(mode="json"),
            iterations=self.iterations,
            accumulate=self.accumulate,
            records=self.record if self.record == "losses" else "",
            record_iterations=self._record_iterations(),
            mode=self.mode,
            seed=self.seed,
            threads=self.threads,
            device=side.device or self.device,
            precisions=(Precision.NATIVE,) if self.twin == "off" else tuple(Precision),
            twin=self.twin,
            parallel=self.parallel,
            probe=self.probe,
        )

    def as_dict(self) -> dict[str, Json]:
        """The whole port as JSON-ready data, defaults filled in, references absolute."""
        data = self.model_dump(mode="json", exclude={*_ENTRIES, "metrics"})
        for name in _ENTRIES:
            entry = getattr(self, name)
            data[name] = entry.as_dict() if entry else None
        data["metrics"] = [metric.as_dict() for metric in self.metrics]
        return {"file": str(self.file), **_copy(data)}

    def fingerprint(self, step: Step) -> str:
        """SHA-256 of what decides a step's captures: the settings and the code.

        The code is the function files that the port names for this step and the modules beside
        them that they import; installed packages are left out. Equal wherever the port lies.
        """
        text = json.dumps(decisive(self.as_dict(), step), sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for path in source_files(self._references(without=unused(step))):
            digest.update(path.read_bytes() if path.is_file() else b"absent")
        for name in (RECORDED_STATE, RECORDED_BATCHES) if self.recording else ():
            manifest = Path(self.recording or "") / name / MANIFEST
            digest.update(manifest.read_bytes() if manifest.is_file() else b"absent")
        return digest.hexdigest()

    def _entries(self) -> list[tuple[str, Entry]]:
        named = [(name, getattr(self, name)) for name in _ENTRIES]
        return [(name, entry) for name, entry in named if entry] + [
            ("metrics", metric) for metric in self.metrics
        ]

    def _references(self, *, without: tuple[str, ...]) -> list[str]:
        sides = (self.reference, self.candidate)
        named = [self.batches, *(side.build for side in sides), *(side.batches for side in sides)]
        entries = (entry for name, entry in self._entries() if name not in without)
        own = [each for entry in entries for each in entry.references()]
        return [each for each in named if each] + own

    def _spec(self, entry: Entry | None, role: Role) -> Spec | None:
        return entry.spec(role, self.side(role).framework) if entry else None

    def _record_iterations(self) -> tuple[int, ...]:
        if self.record == "all":
            return tuple(range(self.iterations))
        return () if isinstance(self.record, str) else self.record


def _copy(data: Json) -> Json:
    return json.loads(json.dumps(data))
