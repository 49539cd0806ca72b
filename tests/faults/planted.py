"""Which faults or rewrites a candidate was asked to make, and in which layer.

The setting `fault` is "none", a name, or several joined by "+"; `name@layer` moves one to another
layer than the middle one. Every candidate asks here and nowhere else, so an unknown name leaves it
faithful.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

DEFAULT_LAYER = 1
Asked = Callable[[str], bool]


class Planted:
    """The names one candidate was asked for."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._layers: dict[str, int] = {}
        for part in str(settings.get("fault", "none")).split("+"):
            name, _, layer = part.partition("@")
            self._layers[name] = int(layer or DEFAULT_LAYER)

    def at(self, layer: int = DEFAULT_LAYER) -> Asked:
        """Ask for one layer: `at(0)("gelu_tanh")`.

        >>> planted = Planted({"fault": "gelu_tanh+no_scale@0"})
        >>> [planted.at(layer)("no_scale") for layer in (0, 1)]
        [True, False]
        """
        return lambda name: self._layers.get(name) == layer
