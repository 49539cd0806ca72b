"""Give a model's outputs their names: what the porter promised in `outputs:`, or what the model
itself says.
"""

from __future__ import annotations

from portalign.errors import CaptureError
from portalign.frameworks.base import Framework
from portalign.frameworks.trainer import Tensor


def named_outputs(
    value: object, framework: Framework, promised: tuple[str, ...]
) -> list[tuple[str, Tensor]]:
    """(name, tensor) of every output that counts, in the model's order.

    A bare tensor takes the first promised name, a plain tuple takes them in order. With nothing
    promised everything is returned: dict and dataclass fields by their names, the rest by position.

    Raises:
        CaptureError: a promised output isn't there, or there is no tensor at all.
    """
    found = [(_renamed(slot, promised), tensor) for slot, tensor in framework.leaves(value)]
    missing = [name for name in promised if not any(_is_part(slot, name) for slot, _ in found)]
    if missing or not found:
        raise CaptureError(
            f"the model returned {', '.join(slot for slot, _ in found) or 'no tensor'}"
            + (f"; missing: {', '.join(missing)}" if missing else ""),
            why="an output that isn't there can't be compared",
            do="correct `outputs:` in the port file, or make the model return it",
        )
    if not promised:
        return found
    return [(slot, t) for slot, t in found if any(_is_part(slot, name) for name in promised)]


def scores_of(outputs: list[tuple[str, Tensor]]) -> tuple[str, Tensor]:
    """The output that losses and metrics read: "logits" where there is one, else the first."""
    return next((item for item in outputs if item[0] == "logits"), outputs[0])


def _renamed(slot: str, promised: tuple[str, ...]) -> str:
    if not slot:
        return promised[0] if promised else "output"
    first, _, rest = slot.partition(".")
    if first.isdigit() and int(first) < len(promised):
        name = promised[int(first)]
        return f"{name}.{rest}" if rest else name
    return slot


def _is_part(slot: str, name: str) -> bool:
    return slot == name or slot.startswith(f"{name}.")
