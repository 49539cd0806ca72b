"""A YAML text as plain data, with the line every entry stands on.

Port files are read by one small dialect: what YAML 1.2 calls a number or a bool is one, and what
only YAML 1.1 does is refused or kept as text, so `lr: 3e-5` is a number and `twin: off` a word.
Tags, anchors and duplicate keys are refused: a port file is data, and may come from a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import yaml

from portalign.errors import PortFileError

Json = Any  # what `json.loads` returns
Place = tuple[str | int, ...]  # ("optimizer", "lr"), ("metrics", 0)

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
# Bools to YAML 1.1 and words to YAML 1.2. "n" and "y" are names far too often to be refused.
_OLD_BOOL = {word for w in ("yes", "no", "on", "off") for word in (w, w.title(), w.upper())}
_WORDS_EXPECTED = {("twin",), ("parallel",), ("probe",)}  # where on and off are the words asked for
_INT = re.compile(r"[-+]?[0-9][0-9_]{0,40}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z")
_NAN = {".nan", ".NaN", ".NAN"}


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data and where it stands.

    Attributes:
        data: mappings with text keys, lists, text, numbers, bools and None.
        lines: line of each entry, from 1; an entry of a mapping stands where its key does.
    """

    data: Json
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Line of the entry at `place`, or of the nearest entry around it; 1 for an empty file."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return 1


@final
class _Refused(Exception):
    """Something YAML allows and a port file doesn't."""

    def __init__(self, line: int, found: str, *, why: str, do: str) -> None:
        super().__init__(found)
        self.line, self.found, self.why, self.do = line, found, why, do


@final
class _Loader(yaml.SafeLoader):
    """Composes nodes only; refuses tags, anchors and aliases before any of them acts."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) is not None:
            raise _Refused(
                line,
                f"the tag {event.tag!r}",
                why="a port file holds plain data; a tag could build anything",
                do="remove the tag and write the value itself",
            )
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused(
                line,
                f"the YAML anchor or alias {event.anchor!r}",
                why="a port file says everything once, where it is used",
                do="write the value out; text that starts with & or * needs quotes",
            )
        return super().compose_node(parent, index)


def parse(text: str, *, name: str) -> Document:
    """Read YAML text.

    Args:
        text: the whole file. An empty one gives `None` as data.
        name: what messages call it.

    Raises:
        PortFileError: not YAML, or YAML that a port file may not hold; names the line.
    """
    lines: dict[Place, int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = None if node is None else _plain(node, (), lines)
    except _Refused as err:
        raise PortFileError(f"{name}:{err.line}: {err.found}", why=err.why, do=err.do) from None
    except RecursionError:
        raise PortFileError(
            f"{name}:1: nested too deeply to read",
            why="a port file is a few levels deep",
            do="check for unclosed brackets",
        ) from None
    except yaml.reader.ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        raise PortFileError(
            f"{name}:{line}: the character {chr(int(err.character))!r}",
            why="YAML allows no control characters",
            do="remove it, and save the file as UTF-8 text",
        ) from None
    except yaml.MarkedYAMLError as err:
        raise _syntax_error(err, text, name) from None
    return Document(data, lines)


def parse_value(text: str, *, name: str, place: Place) -> Json:
    """Read one value as a port file would at `place`: ``1e-4`` is a number, ``base`` a word.

    >>> parse_value("1e-4", name="--set", place=("optimizer", "lr"))
    0.0001
    """
    lines: dict[Place, int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _plain(node, place, lines)
    except _Refused as err:
        raise PortFileError(f"{name}: {err.found}", why=err.why, do=err.do) from None
    except (yaml.YAMLError, RecursionError) as err:
        problem = getattr(err, "problem", None) or "it can't be read"
        raise PortFileError(
            f"{name}: {text!r} is not a YAML value: {problem}",
            why="the value is read as the port file would read it",
            do="put quotes around text with special characters",
        ) from None


def _syntax_error(err: yaml.MarkedYAMLError, text: str, name: str) -> PortFileError:
    mark = err.problem_mark or err.context_mark
    index = mark.line if mark else 0
    rows = text.splitlines()
    row = rows[index] if index < len(rows) else ""
    do = f"look at this line and the one before it: {row.strip()!r}"
    if "\t" in row[: len(row) - len(row.lstrip())] or "'\\t'" in str(err.problem):
        do = "replace the tabs on this line by spaces; YAML indents with spaces only"
    elif "single document" in str(err.context):
        do = "remove the second `---`: one port file describes one port"
    said = ", ".join(part for part in (err.context, err.problem) if part)
    return PortFileError(f"{name}:{index + 1}: {said}", why="this is not valid YAML", do=do)


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Json:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, index), lines) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)  # a composed node is one of these three
    return _scalar(node, place)


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, Json]:
    data: dict[str, Json] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _key(key_node, line)
        if key in data:
            first = lines[(*place, key)]
            raise _Refused(
                line,
                f"the key {key!r} a second time; it is already on line {first}",
                why="only one of the two can count",
                do="remove one of them",
            )
        lines[(*place, key)] = line
        data[key] = _plain(value_node, (*place, key), lines)
    return data


def _key(node: yaml.Node, line: int) -> str:
    text = isinstance(node, yaml.ScalarNode) and (
        node.style is not None or isinstance(_resolve(node.value), str)
    )
    if not text or node.value == "<<":
        raise _Refused(
            line,
            f"{node.value!r} as a key"
            if isinstance(node, yaml.ScalarNode)
            else "a list or mapping as a key",
            why="keys in a port file are names, that is text",
            do="put quotes around the key if it is meant as text",
        )
    return str(node.value)


def _scalar(node: yaml.ScalarNode, place: Place) -> Json:
    if node.style is not None:  # quoted, or a block: always text
        return node.value
    line = node.start_mark.line + 1
    if node.value in _OLD_BOOL and place not in _WORDS_EXPECTED:
        raise _Refused(
            line,
            f"`{node.value}` without quotes",
            why="some YAML readers take it for a bool and others for a word",
            do=f"write true or false, or '{node.value}' in quotes if the word is meant",
        )
    if node.value in _NAN:
        raise _Refused(
            line,
            "`.nan` as a value",
            why="no setting of a port is NaN, and NaN would switch comparisons off",
            do="write a number",
        )
    return _resolve(node.value)


def _resolve(text: str) -> str | int | float | bool | None:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    infinite = _INFINITE.match(text)
    if infinite:
        return float(infinite.group(1) + "inf")
    return text
