"""The parts of the port file: one side, weights, tolerance, and the types their fields share.

Each is a frozen pydantic model that refuses unknown keys; `model` puts them together.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from portalign.config.entries import AsTuple
from portalign.config.references import complaint, resolve
from portalign.mapping.said import understand
from portalign.store.layout import RECORDED_BATCHES, RECORDED_STATE


def _resolved(reference: str, info: ValidationInfo) -> str:
    return resolve(reference, info.context["folder"]) if info.context else reference


def _recorded(folder: str, info: ValidationInfo) -> str:
    if not info.context:
        return folder
    path = (info.context["folder"] / Path(folder).expanduser()).absolute()
    for name in (RECORDED_STATE, RECORDED_BATCHES):
        if not (path / name).is_dir():
            raise complaint(
                f"{path} holds no recording: there is no {name}/ in it",
                why="both sides are to start from a recorded training",
                do="write it with portalign.recorder in the training loop, or correct the folder",
            )
    return str(path)


def _usable_rename(pair: tuple[str, str]) -> tuple[str, str]:
    pattern, replacement = pair
    try:
        re.sub(pattern, replacement, "")
    except (re.error, IndexError) as err:
        raise complaint(
            f"the renaming {list(pair)} is not a regular expression and its replacement: {err}",
            why="parameter names can't be matched with it",
            do=r"write [regex, replacement] as for Python's re.sub; a literal dot is \.",
        ) from None
    return pair


def _usable_layout(text: str) -> str:
    try:
        understand(text)
    except ValueError as err:
        raise complaint(
            f"{text!r} says nothing of a layout",
            why="the weights can't be brought to it",
            do=str(err),
        ) from None
    return text


Function = Annotated[
    str, AfterValidator(_resolved), Field(description="file.py:function or package.module:function")
]
Recording = Annotated[str, AfterValidator(_recorded)]
Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AsTuple]
Device = Annotated[str, Field(pattern=r"^[a-z]+(:[0-9]+)?$", description="cpu, cuda:0, gpu:0")]
Rename = Annotated[tuple[str, str], AsTuple, AfterValidator(_usable_rename)]

LayoutText = Annotated[
    str,
    AfterValidator(_usable_layout),
    Field(
        description="as_is, transposed, stacked (axis 0 numbers layers), parts in their order "
        "(q k v), or head by head (q k v by 12); several with a comma."
    ),
]


class Part(BaseModel):
    """A mapping of the port file: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@final
class Side(Part):
    """One side: which framework, which model, and what it alone needs."""

    framework: Literal["torch", "paddle"]
    build: Annotated[Function, Field(description="build(settings) returns the model.")]
    python: str | None = Field(None, description="Interpreter for this side; default: portalign's.")
    batches: Function | None = Field(None, description="Batches of this side alone.")
    inputs: dict[str, str] = Field(
        {}, description="Model argument: batch field, where they differ."
    )
    device: Device | None = Field(None, description="Device of this side alone.")


@final
class Weights(Part):
    """Whose weights the candidate runs with, and help for the mapping where it can't decide."""

    carry: bool = Field(
        True,
        description="Give the candidate the reference's weights; false: each side brings its own, "
        "and what can be matched is compared.",
    )
    rename: Annotated[tuple[Rename, ...], AsTuple] = Field(
        (), description="[regex, replacement] pairs that turn reference names into candidate names."
    )
    layout: dict[str, LayoutText] = Field(
        {},
        description="Parameter name, or regex of whole names, of either side: as_is or transposed "
        "(the candidate's against the reference's), or what that tensor packs.",
    )


@final
class Tolerance(Part):
    """What the reprod_log log is judged by."""

    mean: float = Field(1e-6, gt=0, allow_inf_nan=False, description="Largest mean difference.")
