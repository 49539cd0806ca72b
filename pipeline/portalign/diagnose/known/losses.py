"""Losses that differ because the two frameworks' cross entropies do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final, final

import numpy as np

from portalign.compare.chain import Link
from portalign.diagnose.known.cross_entropy import Loss, in_paddle, in_torch
from portalign.diagnose.known.explained import Explained, clause, fits, misfit
from portalign.diagnose.known.given import Given
from portalign.diagnose.known.updates import Numbers
from portalign.equivalents.arguments import resolve
from portalign.equivalents.losses import ROWS
from portalign.equivalents.rows import Area
from portalign.findings import Finding, FindingKind, Part
from portalign.records import Array, Kind
from portalign.request import Json, Spec

_NAME: Final = "cross_entropy"
_FRAMEWORKS: Final = ("torch", "paddle")
_REMEDY: Final = (
    "use `class_weights` of 1.0 where labels are ignored (paddle's mean then divides by those it "
    "kept, as torch's), or `reduction: sum`, or compute the loss by hand on the candidate's side"
)
Specs = tuple[Spec | None, Spec | None]


@final
@dataclass(frozen=True, slots=True)
class _Reading:
    """What a loss may have been computed from.

    Attributes:
        slot: of the model's output.
    """

    slot: str
    logits: Numbers
    labels: Array
    arguments: Mapping[str, Json]

    def losses(self, framework: str) -> tuple[Loss, ...]:
        """What the framework makes of it. Paddle's with and without its cut: where only one side
        cuts, the loss without it is compared.
        """
        given = (self.logits, self.labels, self.arguments)
        if framework == "torch":
            return (in_torch(*given),)
        return in_paddle(*given, is_cut=True), in_paddle(*given, is_cut=False)


@final
@dataclass(frozen=True, slots=True)
class _Found:
    """One iteration whose loss both sides' formulas give; `losses` as in torch and in paddle."""

    links: tuple[Link, ...]
    arguments: Mapping[str, Json]
    losses: tuple[Loss, Loss]
    before: float
    after: float


def explain_losses(
    links: Sequence[Link],
    given: Given,
    batches: Sequence[Mapping[str, Array]],
    frameworks: tuple[str, str],
    specs: Specs,
) -> Explained | None:
    """Explain wrong losses by the formulas of the frameworks' own cross entropies.

    A porter's own loss functions are taken for cross entropy without further arguments where that
    gives what both sides recorded.

    Args:
        links: of the state-grafted iterations.
        given: what they started from.
        batches: that both sides were fed.
        frameworks: of reference and candidate.
        specs: their losses.

    Returns:
        None where nothing is explained.
    """
    by_iteration: dict[int, list[Link]] = defaultdict(list)
    for link in links:
        if link.part is Part.LOSS:
            by_iteration[link.iteration].append(link)
    wrong = {k: some for k, some in by_iteration.items() if any(link.is_wrong for link in some)}
    if not batches or set(frameworks) != set(_FRAMEWORKS):
        return None
    found: list[_Found] = []
    for iteration, some in wrong.items():
        batch = batches[iteration % len(batches)]
        readings = _readings(given.outputs(iteration), batch, specs)
        first = next(filter(None, (_found(some, each, frameworks) for each in readings)), None)
        found += [first] if first else []
    if not found:
        return None
    labels = tuple(link.label for each in found for link in each.links if link.is_wrong)
    return Explained((_finding(found, labels),), frozenset(labels))


def _readings(
    outputs: Mapping[str, Numbers], batch: Mapping[str, Array], specs: Specs
) -> Iterator[_Reading]:
    """What the port file names; where the losses are a porter's functions, what may be meant."""
    ours, theirs = specs
    if ours is None or theirs is None:
        return
    if ours.function and theirs.function:
        for axis in (-1, 1):
            plain = resolve(Area.LOSS, Spec(_NAME, args={"axis": axis}))
            for slot, logits in outputs.items():
                for field in sorted(batch):
                    if _are_classes(logits, batch[field], axis):
                        yield _Reading(slot, logits, batch[field], plain)
    elif ours.name == theirs.name == _NAME:
        arguments, others = (resolve(Area.LOSS, spec) for spec in (ours, theirs))
        slot = f"out.{arguments['output']}" if len(outputs) > 1 else next(iter(outputs), "")
        labels = batch.get(str(arguments["labels"]))
        if labels is None or slot not in outputs or {**others, **_output(arguments)} != arguments:
            return
        if arguments["soft_labels"] or _are_classes(outputs[slot], labels, arguments["axis"]):
            yield _Reading(slot, outputs[slot], labels, arguments)


def _output(arguments: Mapping[str, Json]) -> dict[str, Json]:
    """The one argument in which two sides may differ: their models name their outputs."""
    return {"output": arguments["output"]}


def _are_classes(logits: Numbers, labels: Array, axis: int) -> bool:
    """One integer label for every row of logits."""
    if logits.ndim < 2 or labels.dtype.kind not in "iu":
        return False
    shape = list(logits.shape)
    del shape[axis]
    return bool(labels.size == prod(shape) and labels.shape[0] == shape[0])


def _found(links: Sequence[Link], reading: _Reading, frameworks: tuple[str, str]) -> _Found | None:
    """The reading, if both sides follow it."""
    followed = []
    for framework, is_candidate in zip(frameworks, (False, True), strict=True):
        losses = reading.losses(framework)
        fitting = (e for e in losses if _follows(links, e, reading.slot, is_candidate=is_candidate))
        followed.append(next(fitting, None))
    first, second = followed
    if first is None or second is None:
        return None
    made = [(each, _made(each, second, reading.slot)) for each in links]
    after = max(
        misfit(array, each.pair.candidate_values())
        for each, array in made
        if array is not None and each.pair is not None
    )
    apart = abs(first.value - second.value) / (abs(first.value) or 1.0)
    before = max(apart, misfit(second.gradient, first.gradient))
    in_order = (first, second) if frameworks == _FRAMEWORKS else (second, first)
    return _Found(tuple(links), reading.arguments, in_order, before, after)


def _follows(links: Sequence[Link], loss: Loss, slot: str, *, is_candidate: bool) -> bool:
    """Whether value and gradient of a side are what the formula gives; the rest must agree."""
    for link in links:
        made = _made(link, loss, slot)
        if made is None or link.pair is None:
            if link.is_wrong:
                return False
            continue
        pair = link.pair
        if not fits(made, pair.candidate_values() if is_candidate else pair.reference.array):
            return False
    return True


def _made(link: Link, loss: Loss, slot: str) -> Numbers | None:
    kind = link.pair.reference.key.kind if link.pair is not None else None
    if kind is Kind.LOSS:
        return np.asarray(loss.value)
    if kind is Kind.DENOMINATOR:
        return np.asarray(loss.whole)
    return loss.gradient if link.slot == slot else None


def _finding(found: Sequence[_Found], labels: tuple[str, ...]) -> Finding:
    worst = max(found, key=lambda one: one.before)
    given = worst.arguments
    rows = [row for row in ROWS if row.entry["name"] == _NAME and row.why]
    row = max(rows, key=lambda row: sum(given.get(k) == v for k, v in row.entry.items()))
    divided = tuple(loss.whole for loss in worst.losses)
    told = f" (by {divided[1]:g} and {divided[0]:g} in iteration {worst.links[0].iteration})"
    why = clause(row.why) + (told if divided[0] != divided[1] else "")
    return Finding(
        "cross-entropy",
        FindingKind.KNOWN_DIFFERENCE,
        labels,
        f"cross entropy is not the same in torch and paddle: {why}; it differs by up to "
        f"{worst.before:.2g}",
        "recomputed with each framework's own formula from the reference's outputs and the "
        f"labels, loss and gradient of {len(found)} iterations come out as both sides recorded "
        f"them, the candidate's to {max(one.after for one in found):.1e}",
        _REMEDY,
        {"divided by in torch": divided[0], "divided by in paddle": divided[1]},
        before=worst.before,
        after=max(one.after for one in found),
        is_confirmed=True,
    )
