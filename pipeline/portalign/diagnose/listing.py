"""What can be named, as docs/causes.md: one line per rule, drawn from the rules themselves."""

from __future__ import annotations

from portalign.diagnose.family import Knob
from portalign.diagnose.registry import all_rules

_HEAD = """# Causes that portalign names

Written by `python -m portalign.diagnose > docs/causes.md` from the rules in
`pipeline/portalign/diagnose/rules/`; a test compares the two. How they work: `decisions/0018-*`.

| Rule | Names | Looks at |
|---|---|---|
"""


def listing() -> str:
    """The page, one table line per rule, by name."""
    rows = [
        f"| `{rule.name}` | {rule.line} | "
        + (
            ", ".join(rule.families)
            if isinstance(rule, Knob)
            else ", ".join(sorted(kind.value for kind in rule.kinds))
        )
        + " |\n"
        for rule in sorted(all_rules(), key=lambda rule: rule.name)
    ]
    return _HEAD + "".join(rows)
