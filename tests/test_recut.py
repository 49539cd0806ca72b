"""Ports that cut the same mathematics into other modules and tensors, right and with one fault."""

from __future__ import annotations

import pytest

from batch import Case, Result, run_all
from portalign.records import Kind, Step
from portalign.results import Outcome

pytestmark = [pytest.mark.end_to_end, pytest.mark.faults]

FORMS = ("fused", "grouped", "by_head", "kv", "stacked", "shared")
SAID = {
    "by_head": r"'layers\.\d+\.qkv\.(weight|bias)': q k v by 4",
    "stacked": r"'candidate:block\.(q|k|v|o)\.weight': transposed",
}


def _case(form: str, mistake: str = "none") -> Case:
    said = (f"weights.layout={{{SAID[form]}}}",) if form in SAID else ()
    settings = (f"settings.form={form}", f"settings.mistake={mistake}")
    return Case(Step.BACKWARD, (*settings, *said), port="../recut")


# form and mistake: the origins, exactly
WRONG = {
    ("fused", "bias"): ("layers.1.q out.0",),
    ("fused", "gelu"): ("glue before layers.1.down in.0, after layers.1.up",),
    ("grouped", "value"): ("glue before layers.1.o in.0, after layers.1.v",),
    ("by_head", "value"): ("glue before layers.1.o in.0, after layers.1.v",),
    ("stacked", "slice"): ("layers.1.up out.0",),
    ("shared", "gelu"): tuple(
        f"glue before layers.{at}.down in.0, after layers.{at}.up" for at in range(3)
    ),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    cases = {form: _case(form) for form in FORMS}
    cases |= {" ".join(wrong): _case(*wrong) for wrong in WRONG}
    return run_all(cases, tmp_path_factory.mktemp("recut"))


@pytest.mark.parametrize("form", FORMS)
def test_a_right_port_passes_and_every_projection_is_compared(
    results: dict[str, Result], form: str
) -> None:
    result = results[form]
    compared = {(c.key.kind, c.key.path, c.key.slot) for c in result.report.comparisons}

    assert result.report.outcome is Outcome.PASS, result.text
    for layer in range(3):
        for name in ("q", "k", "v", "o", "gate", "up", "down", "norm1", "norm2"):
            path = f"layers.{layer}.{name}"
            assert (Kind.ACTIVATION, path, "out.0") in compared, result.text
            assert (Kind.ACTIVATION, path, "in.0") in compared
            assert (Kind.GRADIENT, path, "out.0") in compared
    assert (Kind.ACTIVATION, "layers.2", "out.0") in compared
    labels = [c.label for c in result.report.comparisons]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("wrong", WRONG, ids=" ".join)
def test_a_fault_is_named_where_it_lies(results: dict[str, Result], wrong: tuple[str, str]) -> None:
    result = results[" ".join(wrong)]

    assert result.report.outcome is Outcome.FAIL
    assert result.begins_at == WRONG[wrong], result.text
