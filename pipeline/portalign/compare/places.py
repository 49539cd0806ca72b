"""Where a pair stands in a run: its link in an iteration, its module call, its neighbours.

Facts that `locate` asks for and no decision: execution order is the reference's capture order, and
containment is by module path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from portalign.records import Kind
from portalign.results import Comparison, Outcome

# Links of one iteration in the order in which one feeds the next; 10 is the update itself.
_CHAIN = {
    Kind.INPUT: 0,
    Kind.DRAW: 0,
    Kind.PARAMETER: 1,
    Kind.BUFFER: 1,
    Kind.ACTIVATION: 2,
    Kind.OUTPUT: 3,
    Kind.PREDICTION: 4,
    Kind.METRIC: 5,
    Kind.LOSS: 5,
    Kind.GRADIENT: 6,
    Kind.GRADIENT_NORM: 7,
    Kind.LR: 8,
    Kind.OPTIMIZER_STATE: 9,
}
_UPDATE = 10
_AFTER_ALL = 2**63 - 1  # a metric is computed from all batches, after the last
_STATE = (Kind.PARAMETER, Kind.BUFFER)


def link(one: Comparison) -> tuple[int, int]:
    """Iteration and rank in its chain. Weights of iteration k > 0 belong to the update of k - 1."""
    key = one.key
    if key.kind in _STATE and key.iteration > 0:
        return key.iteration - 1, _UPDATE
    if key.kind is Kind.METRIC:
        return _AFTER_ALL, _CHAIN[key.kind]
    return key.iteration, _CHAIN[key.kind]


def is_initial_state(one: Comparison) -> bool:
    """A parameter or buffer as the run started with it."""
    return one.key.kind in _STATE and one.key.iteration == 0


def is_after_rate(one: Comparison) -> bool:
    """What the optimizer step writes: all that the learning rate of an iteration feeds."""
    return link(one)[1] > _CHAIN[Kind.LR]


def is_of_given_scores(one: Comparison) -> bool:
    """A metric of predictions that both sides were given: nothing before it can excuse it."""
    return one.key.kind is Kind.METRIC and one.key.slot not in ("", "own")


def fails(one: Comparison) -> bool:
    """Its outcome is FAIL; what could not be decided doesn't count."""
    return one.outcome is Outcome.FAIL


def _lies_in(path: str, container: str) -> bool:
    """Strictly inside; everything but the root lies in the root.

    >>> _lies_in("encoder.0.fc", "encoder.0"), _lies_in("encoder.01", "encoder.0")
    (True, False)
    """
    return path.startswith(f"{container}.") if container else path != ""


class Run:
    """All comparisons of one run, by place."""

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        self._activations: dict[int, list[Comparison]] = defaultdict(list)
        self._calls: dict[tuple[str, int, int], list[Comparison]] = defaultdict(list)
        self._last_output: dict[str, int] = {}
        for one in sorted(comparisons, key=lambda one: one.order):
            if one.key.kind is Kind.ACTIVATION:
                self._activations[one.key.iteration].append(one)
                self._calls[one.key.path, one.key.call, one.key.iteration].append(one)
                if not is_input(one):
                    self._last_output[one.key.path] = one.order
        self._broken_state = [one for one in comparisons if fails(one) and is_initial_state(one)]
        gradients = [one for one in comparisons if one.key.kind is Kind.GRADIENT]
        self._knows_backward = all(one.key.path in self._last_output for one in gradients)
        self.is_training = any(
            one.key.kind in (Kind.GRADIENT, Kind.OPTIMIZER_STATE) or link(one)[1] == _UPDATE
            for one in comparisons
        )

    def position(self, one: Comparison) -> tuple[int, int, int, int, int]:
        """Sort key in execution order; gradients in the order of the backward pass.

        That is the reversed order of the modules in the forward pass where it was recorded, else
        the reversed registration order of parameters (gradients of activations are captured in
        order).
        """
        in_order = one.order
        is_inner = one.key.slot.startswith(("in.", "out."))
        if one.key.kind is Kind.GRADIENT:
            if self._knows_backward:
                in_order = -self._last_output[one.key.path]
            elif not is_inner:
                in_order = -one.order
        return (*link(one), in_order, 0 if is_inner else 1, one.order)

    def inputs(self, one: Comparison) -> list[Comparison]:
        """Compared inputs of the module call that `one` belongs to."""
        key = one.key
        return [each for each in self._calls[key.path, key.call, key.iteration] if is_input(each)]

    def fails_before(self, one: Comparison) -> bool:
        """An activation of the same iteration fails earlier."""
        return any(
            fails(each) and each.order < one.order for each in self._activations[one.key.iteration]
        )

    def fails_inside(self, one: Comparison) -> bool:
        """Initial state within the module fails, or an inner activation of this call does."""
        path, call, iteration = one.key.path, one.key.call, one.key.iteration
        earlier_call = self._calls.get((path, call - 1, iteration), [])
        start = max((each.order for each in earlier_call), default=-1)
        return any(
            each.key.path == path or _lies_in(each.key.path, path) for each in self._broken_state
        ) or any(
            fails(each) and _lies_in(each.key.path, path) and start < each.order < one.order
            for each in self._activations[iteration]
        )

    def fails_around(self, one: Comparison) -> bool:
        """Initial state that a module around this one owns fails: the glue there may use it."""
        return any(_lies_in(one.key.path, each.key.path) for each in self._broken_state)

    def glue(self, one: Comparison) -> str:
        """Name the code between modules that `one` comes out of."""
        before = [
            each
            for each in self._activations[one.key.iteration]
            if each.order < one.order and not is_input(each) and each.outcome is Outcome.PASS
        ]
        after = f"after {before[-1].label}" if before else "before any module output"
        if one.key.kind is Kind.OUTPUT:
            return f"glue {after}: output {one.label}"
        return f"glue before {one.key.path or '(root)'}, {after}: {one.label}"


def is_input(one: Comparison) -> bool:
    """An array that arrives at a module."""
    return one.key.slot.startswith("in.") or one.key.slot == "in"
