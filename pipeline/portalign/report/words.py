"""The language a report is written in: English is what the code says, others look it up.

A catalogue is a table of English texts and their translations. `{n}`, `{m}` and `{k}` in both stand
for a number, what stands in `{rest}` (or any name that begins so) is looked up in turn, and what
another name holds stays as it is. What the catalogue doesn't know stays English.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

Say = Callable[[str], str]
LANGUAGES = ("en", "zh")
_HOLE = re.compile(r"\{(\w+)\}")
_NEXT_SENTENCE = re.compile(r"(?<=\.)\s+(?=\S)")
_NUMBER = r"[\d,]+"
_NEXT_ITEM = re.compile(r", ")
_KEY_LENGTH = 4  # characters of a sentence by which its patterns are found


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One English sentence with holes, and what it becomes."""

    english: re.Pattern[str]
    translation: str


def english(text: str) -> str:
    """The text as it is."""
    return text


def language(name: str) -> Say:
    """The function that says a text in a language of `LANGUAGES`.

    >>> language("zh")("aligned")
    '一致'
    """
    return english if name == "en" else _translator(name)


def catalogue(name: str) -> dict[str, str]:
    """English -> the language, sentences with holes among them; nothing for English."""
    if name == "en":
        return {}
    text = (resources.files("portalign.report") / f"{name}.tsv").read_text(encoding="utf-8")
    pairs = (line.split("\t") for line in text.splitlines() if line)
    return {source: translation for source, translation in pairs}  # noqa: C416 - a line has two


def phrases() -> tuple[str, ...]:
    """Every English text without holes that some catalogue knows: the words of pages."""
    names = (name for name in LANGUAGES if name != "en")
    known = dict.fromkeys(source for name in names for source in catalogue(name))
    return tuple(source for source in known if not _HOLE.search(source))


@cache
def _translator(name: str) -> Say:
    known = catalogue(name)
    patterns = _patterns(known)

    def whole(text: str) -> str | None:
        if text in known:
            return known[text]
        for pattern in (*patterns.get(text[:_KEY_LENGTH], ()), *patterns.get("", ())):
            if found := pattern.english.fullmatch(text):
                holes = found.groupdict().items()
                values = {hole: say(v) if hole.startswith("rest") else v for hole, v in holes}
                said: str = pattern.translation.format(**values)
                return said
        return None

    def say(text: str) -> str:
        if (found := whole(text)) is not None:
            return found
        for separator, joined in ((_NEXT_SENTENCE, ""), (_NEXT_ITEM, "、")):
            parts = separator.split(text)
            said = [whole(part) for part in parts] if len(parts) > 1 else []
            if any(said):
                return joined.join(new or old for new, old in zip(said, parts, strict=True))
        return text

    return say


def _patterns(known: dict[str, str]) -> dict[str, list[_Pattern]]:
    """Sentences with holes by their first characters, "" where they begin with a hole; those that
    say most come first.
    """
    found: dict[str, list[_Pattern]] = defaultdict(list)
    for source in sorted(known, key=lambda source: -len(_HOLE.sub("", source))):
        parts = _HOLE.split(source)  # text, name, text, name, ..., text
        if len(parts) > 1:
            pieces = (
                f"(?P<{part}>{_NUMBER if part in 'nmk' else '.+?'})" if at % 2 else re.escape(part)
                for at, part in enumerate(parts)
            )
            key = parts[0][:_KEY_LENGTH] if len(parts[0]) >= _KEY_LENGTH else ""
            found[key].append(_Pattern(re.compile("".join(pieces), re.DOTALL), known[source]))
    return dict(found)
