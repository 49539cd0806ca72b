"""A family of computations that differ in a few knobs, and how one member of it is computed.

A family is a straight line of numpy with named stages. Rules hang their knobs on stages; a knob at
its neutral value does nothing. So a family knows nothing of the causes, and a rule is one file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from portalign.diagnose.evidence import Numbers, Site, View
from portalign.findings import OriginKind
from portalign.records import Array

Value = Any  # what a knob stands at: a number, a word, True, a tuple; None mostly is its neutral
Chosen = Mapping[str, Value]


@final
@dataclass(frozen=True, slots=True)
class Reading:
    """What the tensors at a place are, for one side: a family's reading of a view.

    Attributes:
        tensors: the family's operands by its own names ("x", "weight").
        names: what the report calls them.
        others: tensors by name that might have been taken in the place of one.
    """

    view: View
    tensors: Mapping[str, Numbers]
    names: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Array] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Words:
    """A cause in a porter's words.

    Attributes:
        claim: one sentence without a place: equal claims at many places are one finding.
        remedy: what to type.
        fitted: named values that were fitted or read off.
    """

    claim: str
    remedy: str
    fitted: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True)
class Turned:
    """A knob that stands differently on the two sides."""

    site: Site
    reading: Reading
    reference: Value
    candidate: Value


Act = Callable[[Numbers, Value, Reading], Numbers]


@final
@dataclass(frozen=True, slots=True)
class Knob:
    """A rule about one thing that a computation can do in another way.

    Attributes:
        name: of the rule; stands in reports.
        line: what it names, for docs/causes.md.
        families: names of the families whose stages it hangs on.
        acts: stage -> what the knob does there with a value that isn't neutral.
        values: values worth trying for a reading, the likeliest first, given the other knobs.
        tell: puts a difference into words.
        neutral: value at which it does nothing.
        is_wide: the usual value differs from model to model (a number of heads, an eps), so the
            reference is searched over all values of all such knobs together.
        usual: values for that search, where most of `values` only a fault has; None: all of them.
        is_odd: only a fault turns it, so the side that is searched first isn't searched over it.
        guesses: numbers from which to fit the value, where no value of `values` explains; a knob
            with guesses is turned last, for a fit rests on all others.
        is_log: fit its logarithm.
        is_precision: it rounds what is computed, which float64 twins don't: it is turned only where
            they agree and the sides still differ.
    """

    name: str
    line: str
    families: tuple[str, ...]
    acts: Mapping[str, Act]
    values: Callable[[Reading, Chosen], Iterable[Value]]
    tell: Callable[[Turned], Words]
    neutral: Value = None
    is_wide: bool = False
    usual: Callable[[Reading, Chosen], Iterable[Value]] | None = None
    is_odd: bool = False
    guesses: tuple[float, ...] = ()
    is_log: bool = False
    is_precision: bool = False


Run = Callable[[str, Numbers], Numbers]


@final
@dataclass(frozen=True, slots=True)
class Family:
    """A computation with stages.

    Attributes:
        name: for knobs to refer to.
        readings: ways to read a site as this computation, for both sides; none where it can't be.
        compute: the output, given what runs at each stage.
        is_rare: few places can be read as it, so it is asked first and searched deeper.
        kinds: of the origins that can be read as it.
        members: members whose knobs can be read off what was made, the likeliest first; it knows
            knobs by their names.
    """

    name: str
    readings: Callable[[Site], Iterator[tuple[Reading, Reading]]]
    compute: Callable[[Reading, Run], Numbers]
    is_rare: bool = False
    kinds: frozenset[OriginKind] = frozenset({OriginKind.MODULE, OriginKind.GLUE})
    members: Callable[[Reading, Sequence[Knob]], Iterator[Chosen]] | None = None


def of_module(
    read: Callable[[View, View], Reading | None], site: Site
) -> Iterator[tuple[Reading, Reading]]:
    """A module as both sides have it, by one way to read a view beside the reference's; nothing
    for code between modules, nor where one side can't be read so.
    """
    if site.origin.kind is OriginKind.MODULE:
        ours, theirs = (read(view, site.reference) for view in (site.reference, site.candidate))
        if ours and theirs:
            yield ours, theirs


def computed(family: Family, knobs: Sequence[Knob], reading: Reading, chosen: Chosen) -> Numbers:
    """The output of a family's member.

    Knobs that hang on one stage act in the given order. Overflow and division by zero give
    infinities and NaN, which explain nothing.

    Raises:
        ValueError, IndexError: the member doesn't fit the shapes.
    """

    with np.errstate(all="ignore"):
        return family.compute(reading, running(knobs, reading, chosen))


def running(knobs: Sequence[Knob], reading: Reading, chosen: Chosen) -> Run:
    """What runs at each stage of a member."""
    turned = [
        (knob.acts, chosen[knob.name])
        for knob in knobs
        if knob.name in chosen and chosen[knob.name] != knob.neutral
    ]

    def run(stage: str, values: Numbers) -> Numbers:
        for acts, value in turned:
            if stage in acts:
                values = acts[stage](values, value, reading)
        return values

    return run
