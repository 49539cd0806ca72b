"""Numbers as a porter would write them: 0.0625 is 1/16, 0.0668 is 1/sqrt(224), 1e-12 is 1e-12."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

_MOST = 65536  # greatest whole number that is looked for behind a root or a fraction


_NAMED = 3  # of several things that are named


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    n_more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {n_more} more" if n_more > 0 else "")


def number(value: float) -> str:
    """A number with what it most likely stands for.

    >>> number(0.0625), number(1 / math.sqrt(224)), number(1e-05), number(5.656854249492381)
    ('0.0625 = 1/16', '0.0668153 = 1/sqrt(224)', '1e-05', '5.65685 = sqrt(32)')
    """
    plain = f"{value:.6g}"
    if float(plain) == value and len(plain.lstrip("-").replace(".", "")) <= 4:
        return plain if abs(value) > 1 or not _whole(1 / value if value else 0.5) else _part(value)
    for text, meant in _meanings(abs(value)):
        if math.isclose(abs(value), meant, rel_tol=1e-9):
            return f"{plain} = {'-' if value < 0 else ''}{text}"
    return plain


def nice(value: float) -> Iterator[float]:
    """Simple numbers that a fitted one may stand for, closest first, then the number itself.

    >>> list(nice(9.9999997e-13))[0], list(nice(0.17677669529))[0] == 32**-0.5
    (1e-12, True)
    """
    if not math.isfinite(value) or value == 0:
        yield value
        return
    near = {
        float(f"{value:.{digits}e}")
        for digits in range(4)
        if math.isclose(float(f"{value:.{digits}e}"), value, rel_tol=1e-3)
    }
    near |= {
        math.copysign(meant, value)
        for _, meant in _meanings(abs(value))
        if math.isclose(meant, abs(value), rel_tol=1e-5)
    }
    yield from sorted(near, key=lambda one: abs(one - value))
    yield value


def _meanings(value: float) -> Iterator[tuple[str, float]]:
    """Whole numbers, their roots and their fractions near a positive number."""
    for power, text in ((1.0, "{}"), (-1.0, "1/{}"), (0.5, "sqrt({})"), (-0.5, "1/sqrt({})")):
        try:
            n = round(value ** (1 / power))
        except (OverflowError, ZeroDivisionError):
            continue
        if 1 < n <= _MOST:
            yield text.format(n), float(n) ** power


def _whole(value: float) -> bool:
    return 1 < value <= _MOST and math.isclose(value, round(value), rel_tol=1e-9)


def _part(value: float) -> str:
    inverse = 1 / value
    is_power_of_ten = math.isclose(math.log10(inverse), round(math.log10(inverse)), abs_tol=1e-9)
    return f"{value:.6g}" if is_power_of_ten else f"{value:.6g} = 1/{round(inverse)}"


def near(name: str, path: str) -> str:
    """A tensor's name as seen from a module, alike in every layer.

    >>> near("layers.1.attention out.0", "layers.1.norm")
    'attention out.0'
    >>> near("layers.0 out.0", "layers.1.norm")
    'out.0 of the layers before'
    """
    module, _, slot = name.partition(" ")
    parts, own = module.split("."), path.split(".")
    n = 0
    while n < min(len(parts), len(own)) and parts[n] == own[n]:
        n += 1
    rest, mine = parts[n:], own[n : n + 1]
    both = [*rest[:1], *mine]
    are_layers = n > 0 and len(both) == 2 and all(each.isdigit() for each in both)
    if are_layers and int(both[0]) == int(both[1]) - 1:
        inner = f"{'.'.join(rest[1:])} {slot}" if rest[1:] else slot
        return f"{inner} of the {parts[n - 1]} before"
    if not rest:
        return f"the module's own {slot}"
    return f"{'.'.join(rest)} {slot}"
