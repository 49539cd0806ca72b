"""Families and rules, found by reading their folders: a new cause is a new file and no more."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from portalign.diagnose import families, rules
from portalign.diagnose.family import Family, Knob
from portalign.diagnose.rule import Rule


@cache
def all_families() -> tuple[Family, ...]:
    """Every family, by name of its file."""
    return tuple(module.FAMILY for module in _modules(families))


@cache
def all_rules() -> tuple[Knob | Rule, ...]:
    """Every rule, by name of its file."""
    return tuple(module.RULE for module in _modules(rules))


@cache
def knobs_of(family: str) -> tuple[Knob, ...]:
    """The rules that hang on a family's stages, in the order in which they act."""
    found = [rule for rule in all_rules() if isinstance(rule, Knob) and family in rule.families]
    return tuple(sorted(found, key=lambda knob: (bool(knob.guesses), knob.name)))


@cache
def other_rules() -> tuple[Rule, ...]:
    """The rules that look at a place as a whole."""
    return tuple(rule for rule in all_rules() if isinstance(rule, Rule))


def _modules(package: ModuleType) -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [import_module(f"{package.__name__}.{name}") for name in names]
