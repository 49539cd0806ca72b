"""Every rule names its seeded fault with the right number and is silent on the clean twin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from causes.places import Seeded, module, random
from portalign.diagnose import rules
from portalign.diagnose.confirm import difference
from portalign.diagnose.engine import Doctor
from portalign.diagnose.evidence import Site
from portalign.diagnose.explain import Seen
from portalign.diagnose.listing import NUMBERS, listing
from portalign.diagnose.precision import lost_precision
from portalign.diagnose.registry import all_rules
from portalign.findings import Finding, FindingKind

PACKAGE = Path(rules.__path__[0]).parent
DOCS = Path(__file__).parent.parent / "docs" / "causes.md"
FILES = sorted(path.stem for path in Path(rules.__path__[0]).glob("[!_]*.py"))
SEEDED = {
    f"{file} {number}": seeded
    for file in FILES
    for number, seeded in enumerate(import_module(f"causes.{file}").FAULTS)
}

CLEAN = {id(seeded.clean): (name, seeded.clean) for name, seeded in SEEDED.items()}


def _first(seeded: Seeded) -> Finding | None:
    if seeded.twin:
        return lost_precision(seeded.twin, seeded.faulty, Seen())
    return Doctor().causes(seeded.faulty)[0]


@pytest.mark.parametrize("seeded", SEEDED.values(), ids=SEEDED)
def test_a_seeded_fault_is_named_first_with_its_number(seeded: Seeded) -> None:
    first = _first(seeded)

    assert first is not None
    assert first.rule == seeded.rule, first
    assert first.is_confirmed is not seeded.is_hint
    assert first.remedy
    assert seeded.says in first.claim
    for name, value in seeded.fitted.items():
        assert first.fitted[name] == pytest.approx(value, rel=1e-5, abs=0)
    fall = 0.01 if seeded.twin else 1e-6
    assert seeded.is_hint or first.after <= max(first.before * fall, 1e-14)


@pytest.mark.parametrize(
    "clean", [site for _, site in CLEAN.values()], ids=[n for n, _ in CLEAN.values()]
)
def test_nothing_is_named_on_its_clean_twin(clean: Site) -> None:
    assert difference(clean) < 1e-12  # the same mathematics, written in another way

    assert [one.rule for one in Doctor().causes(clean)] == [""]


def test_no_lost_precision_is_named_where_both_sides_only_round_their_results() -> None:
    twin = next(seeded.twin for seeded in SEEDED.values() if seeded.twin)
    sides = (
        replace(view, made=view.made.astype(np.float32) * (1 + np.float32(n) * 2**-23))
        for n, view in enumerate((twin.reference, twin.candidate))
    )

    assert lost_precision(twin, Site(twin.origin, *sides), Seen()) is None


def test_every_rule_has_a_seeded_fault_that_it_must_name() -> None:
    assert {rule.name for rule in all_rules()} <= {seeded.rule for seeded in SEEDED.values()}


def test_rules_are_called_after_their_files_and_no_two_alike() -> None:
    names = [rule.name for rule in all_rules()]

    assert names == [file.replace("_", "-") for file in FILES]
    assert len(set(names)) == len(names)


def test_the_page_of_causes_is_the_one_the_rules_make() -> None:
    assert DOCS.read_text(encoding="utf-8") == listing(), (
        "write it anew: python -m portalign.diagnose > docs/causes.md"
    )


def test_the_page_of_causes_lists_every_name_that_a_finding_can_get() -> None:
    listed = {name for name, _, _ in NUMBERS} | {rule.name for rule in all_rules()}
    named = {name for file in PACKAGE.rglob("*.py") for name in _names(file) if name}

    assert len(NUMBERS) == len({name for name, _, _ in NUMBERS})
    assert {name for name, _, _ in NUMBERS} <= named
    assert named <= listed


def _names(file: Path) -> Iterator[str]:
    """What stands in a file where a finding's rule is given."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            at = {"Finding": 0, "Cause": 0, "Explanation": 0, "Relation": 0, "_with": 1}.get(called)
            given += node.args[at : at + 1] if at is not None else []
            given += [each.value for each in node.keywords if each.arg == "rule"]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            given += [node.value] if node.targets[0].id.endswith(("RULE", "NAME")) else []
        for each in given:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield each.value


def test_what_no_rule_explains_is_unexplained_with_what_was_tried() -> None:
    x = random(5, 16)

    found = Doctor().causes(module(np.sin(x), np.sin(3 * x), inputs={"in.0": x}))

    assert [one.kind for one in found] == [FindingKind.UNEXPLAINED]
    assert not found[0].is_confirmed
    assert "any activation" in found[0].ruled_out
