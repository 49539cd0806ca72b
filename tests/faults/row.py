"""One row of the fault matrix: what is planted where, where it must be found, and where it comes
from.

Places are written in the reference's names:
``a.b`` the module itself · ``>a.b`` the code in front of it · ``a.b>`` the code after the last of
its inner modules · ``~a.b`` its backward · ``~a.b>`` the backward of the code that uses its output
·
``=a.b.weight`` what training made of a tensor · ``loss``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FRAMEWORKS = ("paddle", "torch")
UNEXPLAINED = "unexplained"
_LABELS: tuple[tuple[str, str], ...] = (
    (r"loss loss.*", "loss"),
    (r"backward of the loss", "~loss"),
    (r"backward of ([^:]*)(:.*)?", r"~\1"),
    (r"backward after (.*)", r"~\1>"),
    (r"grad (\S+) out\.\S+.*", r"~\1>"),
    (r"grad (\S+)\.[^. ]+( iteration \d+)?", r"~\1"),
    (r"glue in (\S+)( after .*)?", r"\1>"),
    (r"glue before ([^ ,]+).*", r">\1"),
    (r"glue .*: output .*", "(root)>"),
    (r"output .*", "(root)>"),
    (r"(\S+) in\.\S+.*", r">\1"),
    (r"(\S+) out\.\S+.*", r"\1"),
    (r"(\S+) iteration \d+", r"=\1"),
    (r"(?:buffer|update of) (\S+) of iteration \d+, state-grafted", r"=\1"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, or with no places a rewrite that must stay silent.

    Attributes:
        fault: what the candidate is asked for; "none" where an override plants it.
        step: "forward" or "backward".
        places: where its origin truly is; several names where one point has several, or where the
        fault sits in several points. source: a public thread it comes from, or the page that
        documents the trap. overrides: further entries of the port file; ``FRAMEWORK`` stands for
        the candidate's. frameworks: candidates that can make it.
        part: of a training fault: the only part of an iteration that is to be blamed; it is the
        row's place too, for such a fault is in no module.
        matching: of a training fault: the overrides of the run without it.
        cause: rules that name the fault rightly, separated by spaces: several where two statements
            are the same truth. "unexplained" where none has it, "" where nobody has said yet.
    """

    arch: str
    name: str
    fault: str
    step: str
    places: frozenset[str]
    source: str
    overrides: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = FRAMEWORKS
    part: str = ""
    matching: tuple[str, ...] = ()
    cause: str = ""

    @property
    def is_benign(self) -> bool:
        """Whether nothing must be found."""
        return not self.places


def place(label: str) -> str:
    """A report's label of an origin in the words of this table.

    >>> place("layers.1.act out.0"), place("glue before fc in.0, after norm")
    ('layers.1.act', '>fc')
    """
    for pattern, replacement in _LABELS:
        if found := re.fullmatch(pattern, label):
            return found.expand(replacement)
    return label


def forward(arch: str, fault: str, cause: str, places: str, source: str) -> Row:
    """A fault that the forward step must find; `places` separated by spaces."""
    return Row(arch, fault, fault, "forward", frozenset(places.split()), source, cause=cause)


def unknown(arch: str, names: str, places: str, source: str, *, step: str = "forward") -> list[Row]:
    """Faults of kinds that no rule has, in torch alone; `names` separated by spaces."""
    true = frozenset(places.split())
    return [
        Row(arch, name, name, step, true, source, frameworks=("torch",), cause=UNEXPLAINED)
        for name in names.split()
    ]


def backward(
    arch: str,
    fault: str,
    cause: str,
    places: str,
    source: str,
    *,
    overrides: tuple[str, ...] = (),
    frameworks: tuple[str, ...] = FRAMEWORKS,
) -> Row:
    """A fault that only the backward step can find."""
    true = frozenset(places.split())
    return Row(arch, fault, fault, "backward", true, source, overrides, frameworks, cause=cause)


def wrong_loss(arch: str, function: str, cause: str, source: str) -> Row:
    """A fault in the candidate's loss function."""
    places, own = frozenset({"loss"}), _loss(arch, function)
    name = f"loss_{function}"
    return Row(arch, name, "none", "backward", places, source, own, cause=cause)


def benign_loss(arch: str, function: str, source: str) -> Row:
    """A loss written anew."""
    return Row(
        arch, f"loss_{function}", "none", "backward", frozenset(), source, _loss(arch, function)
    )


def benign(
    arch: str,
    names: str,
    source: str,
    *,
    step: str = "forward",
    frameworks: tuple[str, ...] = FRAMEWORKS,
) -> list[Row]:
    """Rewrites that must stay silent; `names` separated by spaces."""
    return [
        Row(arch, name, name, step, frozenset(), source, frameworks=frameworks)
        for name in names.split()
    ]


def _loss(arch: str, function: str) -> tuple[str, ...]:
    own = "next_token" if arch == "gpt" else "cross_entropy"
    sides = f"reference: losses_torch.py:{own}, candidate: losses_FRAMEWORK.py:{function}"
    return (f"loss={{{sides}}}",)
