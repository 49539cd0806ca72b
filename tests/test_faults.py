"""A part of the fault matrix in the ordinary suite: every architecture, both candidates, one pass
of captures.

`make faults` runs all of it and sets other tools beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faults import rows_bert, rows_training
from faults.captures import Case
from faults.matrix import ROWS, Naming, Result, names_causes, passes, run
from faults.row import UNEXPLAINED, Row, forward, place
from portalign.findings import Finding, FindingKind
from portalign.results import Outcome

pytestmark = [pytest.mark.framework, pytest.mark.end_to_end, pytest.mark.slow]

CHOSEN = {
    "bert": "gelu_tanh no_scale value_bias_zero loss_smoothed "
    "mask_minus_1e9 mask_inverted positions_cumsum fused_qkv query_frozen weights_detached "
    "scores_in_bfloat16 fc2_not_loaded loss_focal dropout_left_on",
    "gpt": "heads_tiled rotary_interleaved rotary_bfloat16_table rotary_from_one sdpa "
    "alibi_missing layer_skipped",
    "cnn": "pool_padding_left_out kernel_standardised bn_momentum folded_norm conv_by_unfold "
    "resized_nearest",
    "rnn": "gate_order mean_counts_padding truncated_backward state_detached "
    "start_detached mean_by_matmul peephole median_pooled",
    "mlp": "rate_cosine_ahead clip_each clip_eps beta2 decay_of_biases decay_coupled loss_summed "
    "loss_ignored_counted loss_unweighted loss_accumulated_undivided batches_swapped fc1_frozen "
    "dropout_rate norm_momentum_turned norm_not_kept without_clip_each",
}
THREE_PLACES = (
    "layers.0.mlp.act >layers.0.mlp.fc2 >layers.1.attention.dense layers.2.attention_norm"
)
THREE_CAUSES = "activation-function attention-scale norm-eps"
THREE = forward("bert", "gelu_tanh@0+no_scale@1+norm_eps@2", THREE_CAUSES, THREE_PLACES, "")
TWO_CAUSES = "norm-eps norm-kind"
TWO = forward("bert", "norm_eps+norm_without_mean", TWO_CAUSES, "layers.1.attention_norm", "")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """The chosen rows, two faults in one place and three faults at once."""
    rows = [row for row in ROWS if row.name in CHOSEN[row.arch].split()]
    return run([*rows, TWO, THREE], tmp_path_factory.mktemp("faults"))


def test_every_planted_fault_is_caught(results: list[Result]) -> None:
    faults = [r for r in results if not r.case.row.is_benign]

    assert len(faults) > 15
    assert {r.case.label: r.note for r in faults if r.outcome is not Outcome.FAIL} == {}


def test_no_rewrite_of_the_same_mathematics_is_flagged(results: list[Result]) -> None:
    rewrites = [r for r in results if r.case.row.is_benign]

    assert len(rewrites) > 10
    assert {r.case.label: r.note for r in rewrites if r.outcome is not Outcome.PASS} == {}


def test_origins_lie_where_the_faults_were_planted(results: list[Result]) -> None:
    faults = [r for r in results if not r.case.row.is_benign]

    assert {r.case.label: r.note for r in faults if not r.is_origin_right} == {}


def test_three_faults_in_three_layers_are_three_origins_and_nothing_else(
    results: list[Result],
) -> None:
    found = [r for r in results if r.case.row is THREE]

    assert [len(r.places) for r in found] == [3, 3]
    assert all(set(r.places) <= THREE.places for r in found)


def test_two_causes_at_one_origin_are_both_named(results: list[Result]) -> None:
    found = [r for r in results if r.case.row is TWO]

    assert [{one.rule for one in r.findings} for r in found] == [set(TWO_CAUSES.split())] * 2


def test_three_causes_at_three_origins_are_all_named(results: list[Result]) -> None:
    found = [r for r in results if r.case.row is THREE]

    assert [[one.rule for one in r.findings] for r in found] == [THREE_CAUSES.split()] * 2


def test_no_cause_is_named_on_a_rewrite_nor_a_wrong_one_on_a_fault(results: list[Result]) -> None:
    told = [r for r in results if r.case.row.is_benign or r.case.row.cause]

    assert {r.case.label: r.findings for r in told if r.naming is Naming.WRONG} == {}
    assert names_causes(results, dtype="float32")


def test_faults_of_kinds_that_no_rule_has_stay_unexplained(results: list[Result]) -> None:
    found = [r for r in results if r.case.row.cause == UNEXPLAINED]

    assert len(found) == 4
    assert {r.case.label: r.findings for r in found if r.naming is not Naming.UNEXPLAINED} == {}
    assert all(one.ruled_out for r in found for one in r.findings)


def test_bugs_and_rewrites_are_orders_apart_in_float64(results: list[Result]) -> None:
    differences = [r.difference for r in results if not r.case.row.is_benign]
    rewrites = [r.difference for r in results if r.case.row.is_benign]

    # The smallest bug that is no loss of precision is a norm eps; see docs of the matrix's
    # gap line.
    assert max(rewrites) < 1e-12 < 1e-9 < min(d for d in differences if d > 1e-12)


def test_the_matrix_holds_what_it_promises() -> None:
    faults = {(row.arch, row.name) for row in ROWS if not row.is_benign}
    rewrites = {(row.arch, row.name) for row in ROWS if row.is_benign}

    assert len(faults) >= 40
    assert len(rewrites) >= 20
    assert all(row.source.startswith("https://") for row in ROWS)
    assert set(CHOSEN) == {row.arch for row in ROWS}


def test_the_matrix_fails_when_a_fault_is_missed_or_a_rewrite_flagged(tmp_path: Path) -> None:
    fault, rewrite = rows_bert.FORWARD[0], rows_bert.BENIGN[0]

    def told(row: Row, outcome: Outcome, *places: str) -> Result:
        case = Case(row, "torch", None, tmp_path)  # type: ignore[arg-type]  # never run
        return Result(case, outcome, places, 0.0, True, True, "")

    right = told(fault, Outcome.FAIL, "layers.1.mlp.act")
    assert passes([right, told(rewrite, Outcome.PASS)], dtype="float32")
    assert not passes([told(fault, Outcome.PASS)], dtype="float32")
    assert not passes([told(fault, Outcome.FAIL, "layers.2")], dtype="float32")
    assert not passes([right, told(rewrite, Outcome.INCONCLUSIVE)], dtype="float32")


def test_the_matrix_tells_causes_named_right_from_wrong_ones_and_from_none(tmp_path: Path) -> None:
    fault, rewrite = rows_bert.FORWARD[0], rows_bert.BENIGN[0]

    def told(row: Row, *rules: str) -> Result:
        case = Case(row, "torch", None, tmp_path)  # type: ignore[arg-type]  # never run
        findings = tuple(
            Finding(rule, FindingKind.CAUSE if rule else FindingKind.UNEXPLAINED, (), "")
            for rule in rules
        )
        return Result(case, Outcome.FAIL, (), 0.0, True, True, "", findings=findings)

    right, wrong, none = told(fault, fault.cause), told(fault, "norm-eps"), told(fault, "")
    unknown = replace(fault, cause=UNEXPLAINED)

    assert [each.naming for each in (right, wrong, none)] == list(Naming)
    assert told(fault, fault.cause, "norm-eps").naming is Naming.WRONG
    assert told(fault, "", fault.cause).naming is Naming.UNEXPLAINED
    assert names_causes([*[right] * 98, wrong, none], dtype="float32")
    assert not names_causes([*[right] * 97, wrong, wrong, none], dtype="float32")
    for dtype in ("float32", "float64"):
        assert not names_causes([*[right] * 94, *[none] * 6], dtype=dtype)
    assert names_causes([*[right] * 80, *[wrong] * 2, *[none] * 18], dtype="bfloat16")
    assert not names_causes([*[right] * 79, *[none] * 21], dtype="bfloat16")
    assert names_causes([right, told(unknown, ""), told(rewrite)], dtype="float32")
    assert not names_causes([right, told(unknown, "norm-eps")], dtype="float32")
    assert not names_causes([right, told(rewrite, "norm-eps")], dtype="float32")


def test_the_matrix_fails_when_a_training_fault_is_blamed_late_or_on_another_part(
    tmp_path: Path,
) -> None:
    row = rows_training.FAULTS[0]
    case = Case(row, "torch", None, tmp_path)  # type: ignore[arg-type]  # never run

    def blamed(*blames: tuple[str, int]) -> bool:
        some = [((row.part, 0),)] * 99  # of a hundred places a few may be wrong
        results = [Result(case, Outcome.FAIL, (), 0.0, True, True, "", b) for b in (*some, blames)]
        return passes(results, dtype="float32")

    assert blamed((row.part, 0), (row.part, 1))
    assert not blamed()
    assert not blamed((row.part, 3))
    assert not blamed((row.part, 0), ("update", 0))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("glue before fc in.0, after norm", ">fc"),
        ("glue before fc, after norm out.0: fc in.0", ">fc"),
        ("glue in layers.1 after layers.1.mlp", "layers.1>"),
        ("backward after layers.0", "~layers.0>"),
        ("backward of gru: grad gru.weight_ih_l0", "~gru"),
        ("norm.running_mean iteration 1", "=norm.running_mean"),
        ("buffer norm.running_mean of iteration 0, state-grafted", "=norm.running_mean"),
    ],
)
def test_labels_of_reports_are_read_as_places(label: str, expected: str) -> None:
    assert place(label) == expected
