"""What stands under `loss`, `optimizer`, `lr_scheduler` and `metrics`: one entry for both sides.

An entry is a name of portalign's table, or the porter's own function per side, with arguments that
are shared unless `reference:` or `candidate:` overrides them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from portalign.config.references import complaint, resolve
from portalign.records import Role
from portalign.request import Json, Spec

_SIDES = ("torch", "paddle", "reference", "candidate")
_FACTOR = "factor"  # an argument that names a function, of lambda schedules
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*\Z")


@final
class Entry(BaseModel):
    """A name or functions, with arguments. Build one side's view of it with `spec`.

    Attributes:
        name: name in portalign's table, or a function reference that both sides use; "" if none.
        functions: function reference by framework or by role.
        args: arguments for both sides.
        overrides: arguments by role that replace or extend `args`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = ""
    functions: dict[str, str] = Field(default_factory=dict)
    args: dict[str, Any] = Field(default_factory=dict)
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> object:
        folder = info.context["folder"] if info.context else None
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            raise complaint(
                f"{value!r} where a name or a mapping belongs",
                why="a loss, optimizer, LR scheduler or metric is named, or given as functions",
                do="write a name such as adamw, or {name: adamw, lr: 3e-5}",
            )
        name = value.get("name", "")
        if not isinstance(name, str) or ("name" in value and not name):
            raise complaint(
                f"name: {name!r}", why="a name is text", do="write a name such as adamw"
            )
        functions = {side: value[side] for side in _SIDES if isinstance(value.get(side), str)}
        overrides = {side: value[side] for side in _SIDES[2:] if isinstance(value.get(side), dict)}
        for side in _SIDES:
            if side in value and side not in functions and side not in overrides:
                raise complaint(
                    f"{side}: {value[side]!r}",
                    why=f"under `{side}:` stands a function"
                    + (" or a mapping of arguments" if side in _SIDES[2:] else ""),
                    do=f"write {side}: file.py:function",
                )
        args = {key: arg for key, arg in value.items() if key not in (*_SIDES, "name")}
        for arguments in (args, *overrides.values()):
            _refuse_quoted_numbers(arguments)
        if folder is not None:
            functions = {side: resolve(each, folder) for side, each in functions.items()}
            name = resolve(name, folder) if ":" in name else name
            args, overrides = _resolved(args, folder), _resolved(overrides, folder)
        if not name and not functions:
            raise complaint(
                "an entry with neither a name nor a function",
                why="nothing says what to build",
                do="add `name:`, or `torch: file.py:function` and `paddle: file.py:function`",
            )
        return {"name": name, "functions": functions, "args": args, "overrides": overrides}

    def spec(self, role: Role, framework: str) -> Spec | None:
        """What one side builds; None if the entry says nothing for this side."""
        function = self.functions.get(role.value) or self.functions.get(framework, "")
        if not function and ":" in self.name:
            function = self.name
        if not function and not self.name:
            return None
        args = {**self.args, **self.overrides.get(role.value, {})}
        name = "" if function else self.name
        return Spec(name=name, function=function, args=args)

    def label(self) -> str:
        """How results name a metric, the same on both sides: its name, or its function's, and its
        arguments.

        >>> Entry.model_validate({"name": "accuracy", "k": 5}).label()
        'accuracy_k5'
        """
        function = next(iter(self.functions.values()), self.name)
        name = self.name if self.name and ":" not in self.name else function.rpartition(":")[2]
        return name + "".join(f"_{key}{value}" for key, value in sorted(self.args.items()))

    def references(self) -> list[str]:
        """All function references of this entry."""
        named = [self.name] if ":" in self.name else []
        return [*self.functions.values(), *named, *_factors([self.args, self.overrides])]

    def as_dict(self) -> dict[str, Json]:
        """The entry as the port file writes it, references resolved."""
        name = {"name": self.name} if self.name else {}
        return {**name, **self.args, **self.functions, **self.overrides}


def _resolved(value: Json, folder: Path) -> Json:
    """The same data with every `factor` that names a function made absolute."""
    if isinstance(value, list):
        return [_resolved(each, folder) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: resolve(each, folder) if _is_function(key, each) else _resolved(each, folder)
        for key, each in value.items()
    }


def _factors(value: Json) -> Iterator[str]:
    if isinstance(value, (list, dict)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            if _is_function(key, each):
                yield each
            else:
                yield from _factors(each)


def _is_function(key: str | int, value: Json) -> bool:
    return key == _FACTOR and isinstance(value, str)


def _refuse_quoted_numbers(arguments: dict[str, Json]) -> None:
    for key, value in arguments.items():
        if isinstance(value, str) and _NUMBER.match(value):
            raise complaint(
                f"{key}: {value!r} is text in quotes, not a number",
                why="frameworks fail on it late, or compare it as text",
                do=f"remove the quotes: {key}: {value.strip()}",
            )


_OBJECT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "description": "Name in portalign's table."},
        "torch": {"type": "string", "description": "file.py:function for the torch side."},
        "paddle": {"type": "string", "description": "file.py:function for the paddle side."},
        "reference": {
            "type": ["string", "object"],
            "description": "The reference's own function, or arguments that only it uses.",
        },
        "candidate": {
            "type": ["string", "object"],
            "description": "The candidate's own function, or arguments that only it uses.",
        },
    },
    "anyOf": [{"required": [key]} for key in ("name", *_SIDES)],
    "additionalProperties": True,
}
EntryField = Annotated[
    Entry, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, _OBJECT]})
]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


AsTuple = BeforeValidator(_as_tuple)  # lists of YAML for strict tuple fields
