"""Names and texts of other people's models, made fit to be shown: nothing in them is obeyed.

Everything that a report prints passes through here first; what a format itself gives meaning to
(HTML, Markdown, XML) its writer escapes besides.
"""

from __future__ import annotations


def plain(text: str) -> str:
    """The text in one line, control characters shown instead of obeyed.

    That includes what turns the writing direction, lone surrogates and unassigned code points.

    >>> plain("fc\\x1b[31m 1")
    'fc\\\\x1b[31m 1'
    """
    joined = " ".join(text.split())
    if joined.isprintable():
        return joined
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)
