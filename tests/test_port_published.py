"""The ports of published cases, small: each claim is found where it sits, its clean twin passes."""

from __future__ import annotations

import numpy as np
import pytest

from batch import Case, Result, run_all
from portalign.config import load_port
from portalign.ports.ctrl import data as ctrl_data
from portalign.ports.gemma2.shapes import CLAIMS, SHAPE
from portalign.records import Step
from portalign.results import Outcome, Verdict

CTRL = {
    "own table": (),
    "copied table": ("settings.table=copied",),
    "right padding": ("settings.table=copied", "settings.padding=right"),
    "left padding": ("settings.table=copied", "settings.padding=left"),
    "trained": ("settings.table=copied", "settings.weights=trained_like"),
}
REPAIRS = ("none", "candidate", "reference")
FIRST_CORE = "model.model.layers.0.self_attn.o_proj"
TABLE_PLACE = "glue before model.transformer.h.0 in.0, after model.transformer.w"

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Every case, captured once."""
    cases = {f"ctrl {name}": Case(Step.FORWARD, sets, "ctrl") for name, sets in CTRL.items()}
    for claims in ("none", *CLAIMS, "attention_scale+no_attention_softcap"):
        sets = (f"settings.claims={claims}",)
        cases[f"gemma2 {claims}"] = Case(Step.FORWARD, sets, "gemma2")
    for repair in REPAIRS:
        sets = (f"settings.repair={repair}",)
        cases[f"smollm2 {repair}"] = Case(Step.FORWARD, sets, "smollm2_bf16")
    return run_all(cases, tmp_path_factory.mktemp("published"))


@pytest.mark.parametrize("name", ["copied table", "right padding", "trained"])
def test_ctrl_with_the_references_position_table_is_rounding(
    results: dict[str, Result], name: str
) -> None:
    assert results[f"ctrl {name}"].report.outcome is Outcome.PASS


def test_ctrl_with_its_own_position_table_differs_by_that_table_alone(
    results: dict[str, Result],
) -> None:
    result = results["ctrl own table"]

    assert result.report.outcome is Outcome.FAIL
    assert result.begins_at == (TABLE_PLACE,)


def test_a_row_whose_keys_are_all_masked_shows_the_mask_constant(
    results: dict[str, Result],
) -> None:
    result = results["ctrl left padding"]

    assert result.report.outcome is Outcome.FAIL
    assert "attention_mask" in result.begins_at[0]
    assert [one.rule for one in result.report.findings] == ["mask-changed"]
    assert {c.verdict for c in results["ctrl right padding"].report.comparisons} <= {
        Verdict.IDENTICAL,
        Verdict.ROUNDING,
        Verdict.CLOSE,  # the masks themselves: another constant, without effect
    }


def test_a_probe_shows_the_mask_constant_where_the_given_padding_cant(
    results: dict[str, Result],
) -> None:
    report = results["ctrl right padding"].report

    assert report.outcome is Outcome.PASS
    assert report.probe is not None
    assert [one.rule for one in report.probe.findings] == ["mask-changed"]
    assert "It shows in the row padded on the left." in report.probe.text
    assert results["ctrl copied table"].report.probe is None  # it takes no mask


@pytest.mark.parametrize("name", ["none", "einsum"])
def test_gemma2_is_rounding_and_so_is_einsum_for_matmul(
    results: dict[str, Result], name: str
) -> None:
    assert results[f"gemma2 {name}"].report.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("attention_scale", ["attention scale is 0.0668153 = 1/sqrt(224) (division by 14.9666)"]),
        ("no_attention_softcap", ["soft-cap of the attention scores is none, in the reference 50"]),
        (
            "attention_scale+no_attention_softcap",
            ["soft-cap of the attention scores is none", "division by 14.9666"],
        ),
        ("rotary_interleaved", ["rotary positions turn neighbours (interleaved)"]),
        ("layers_swapped", ["local and global layers are in the wrong order"]),
    ],
)
def test_a_claim_about_gemma2s_attention_is_named_in_every_attention_core(
    results: dict[str, Result], claim: str, said: list[str]
) -> None:
    report = results[f"gemma2 {claim}"].report

    assert report.outcome is Outcome.FAIL
    assert FIRST_CORE in report.divergence.origins[0]
    assert len(report.findings) == len(said)
    for finding, words in zip(report.findings, said, strict=True):
        assert words in finding.claim
        assert finding.is_confirmed
        assert len(finding.where) == SHAPE.n_layers


@pytest.mark.parametrize(
    ("claim", "where", "said"),
    [
        ("rotary_bfloat16", ("rotary_emb out.0",), "rounds what it makes through bfloat16"),
        (
            "rotary_base",
            ("rotary_emb.inv_freq", "rotary_emb out.0"),
            "another rotary base: 1000000, in the reference 10000",
        ),
    ],
)
def test_a_claim_about_gemma2s_rotary_tables_is_one_finding_with_what_comes_of_it(
    results: dict[str, Result], claim: str, where: tuple[str, ...], said: str
) -> None:
    (finding,) = results[f"gemma2 {claim}"].report.findings

    assert finding.where == tuple(f"model.model.{each}" for each in where)
    assert said in finding.claim


def test_gemma2_without_its_last_softcap_begins_after_the_last_norm(
    results: dict[str, Result],
) -> None:
    result = results["gemma2 no_final_softcap"]

    assert result.report.outcome is Outcome.FAIL
    assert result.begins_at == ("glue in (root) after model.model.norm",)
    (finding,) = result.report.findings
    assert finding.fitted == {"reference cap": SHAPE.final_softcap}


def test_a_rotary_buffer_rounded_by_a_cast_is_found_though_all_weights_are_identical(
    results: dict[str, Result],
) -> None:
    report = results["smollm2 none"].report
    weights = [c for c in report.comparisons if c.key.kind.value == "parameter"]

    assert report.outcome is Outcome.FAIL
    assert {c.verdict for c in weights} == {Verdict.IDENTICAL}
    assert report.divergence.origins[0] == "model.model.rotary_emb.inv_freq"
    assert "model.model.rotary_emb out.0" in report.divergence.origins
    (finding,) = report.findings
    assert "rounded through bfloat16, bit for bit" in finding.claim
    assert finding.where == tuple(
        f"model.model.rotary_emb{each}" for each in (".inv_freq", ".original_inv_freq", " out.0")
    )


@pytest.mark.parametrize("repaired", ["candidate", "reference"])
def test_putting_either_sides_buffer_into_the_other_makes_every_bit_equal(
    results: dict[str, Result], repaired: str
) -> None:
    report = results[f"smollm2 {repaired}"].report

    assert {c.verdict for c in report.comparisons} == {Verdict.IDENTICAL}


def test_weights_that_are_not_carried_stay_each_sides_own() -> None:
    assert load_port("smollm2_bf16").weights.carry is False
    assert load_port("ctrl").weights.carry is True


@pytest.mark.parametrize("padding", ["none", "right", "left"])
def test_ctrls_padding_is_on_the_side_it_says(padding: str) -> None:
    (batch,) = ctrl_data.batches({"padding": padding})

    assert batch["input_ids"].shape == (2, 24)
    if padding == "none":
        assert "attention_mask" not in batch
    else:
        hidden = np.flatnonzero(batch["attention_mask"][1] == 0)
        assert hidden.tolist() == (list(range(5)) if padding == "left" else list(range(19, 24)))
