"""The port file: what it means for each side, and what is said when it is wrong."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from portalign.config import Port, load_port, port_schema, shipped_ports
from portalign.errors import PortFileError
from portalign.records import Precision, Role, Step
from portalign.request import CaptureRequest, Spec

ROOT = Path(__file__).parent.parent
MINIMAL = """\
name: tiny
reference: {framework: torch, build: sides.py:build}
candidate: {framework: paddle, build: sides.py:build}
batches: data.py:batches
"""
FULL = (
    MINIMAL
    + """\
settings: {size: mini, width: 8, rate: 0.5}
loss: {torch: own.py:loss, paddle: own.py:paddle_loss}
optimizer:
  name: adamw
  lr: 3e-5
  no_decay: [bias, norm]
  candidate: {epsilon: 1e-8, lr: 4e-5}
lr_scheduler: {name: linear_warmup, warmup: 100, total: 4000, probe: [100, 500]}
metrics: [accuracy, {name: f1, average: macro}, own.py:metric]
weights: {rename: [['^bert\\.', 'model.']], layout: {fc.weight: transposed}}
iterations: 4
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A port's folder, with a space in its path."""
    place = tmp_path / "my port"
    place.mkdir()
    (place / "sides.py").write_text("import torch_is_not_here\ndef build(settings): ...\n")
    (place / "data.py").write_text("if True:\n    batches = None\n")
    (place / "own.py").write_text("def loss(): ...\npaddle_loss, metric = loss, loss\n")
    return place


def port(folder: Path, text: str, *overrides: str) -> Port:
    (folder / "port.yaml").write_text(text, encoding="utf-8")
    return load_port(folder / "port.yaml", overrides)


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(PortFileError) as caught:
        port(folder, text, *overrides)
    return str(caught.value)


def test_a_minimal_port_has_defaults(folder: Path) -> None:
    tiny = port(folder, MINIMAL)

    assert (tiny.name, tiny.iterations, tiny.mode, tiny.labels) == ("tiny", 10, "eval", ("labels",))
    assert (tiny.tolerance.mean, tiny.twin, tiny.parallel) == (1e-6, "auto", "auto")
    assert tiny.file == folder / "port.yaml"
    assert tiny.reference.build == f"{folder / 'sides.py'}:build"


def test_a_request_holds_what_one_side_needs(folder: Path) -> None:
    full = port(folder, FULL, "iterations=3", "record=all", "twin=off", "device=cuda:0")

    asked = full.request(Role.CANDIDATE, Step.BACKWARD, folder / "out")

    assert asked.optimizer == Spec(
        name="adamw", args={"lr": 4e-5, "no_decay": ["bias", "norm"], "epsilon": 1e-8}
    )
    assert asked.loss == Spec(function=f"{folder / 'own.py'}:paddle_loss")
    assert asked.metrics[1:] == (
        Spec(name="f1", args={"average": "macro"}, label="f1_averagemacro"),
        Spec(function=f"{folder / 'own.py'}:metric", label="metric"),
    )
    assert (asked.framework, asked.other_framework, asked.device) == ("paddle", "torch", "cuda:0")
    assert asked.weights == {
        "carry": True,
        "rename": [["^bert\\.", "model."]],
        "layout": {"fc.weight": "transposed"},
    }
    assert asked.record_iterations == (0, 1, 2)
    assert asked.precisions == (Precision.NATIVE,)
    assert asked.batches == f"{folder / 'data.py'}:batches"
    assert CaptureRequest.from_json(asked.to_json()) == asked


def test_a_factor_of_a_schedule_is_a_function_beside_the_port_file(folder: Path) -> None:
    text = MINIMAL + (
        "optimizer: {name: sgd, lr: 0.1}\n"
        "lr_scheduler: {name: chained, schedules: [{name: constant, factor: 0.5},"
        " {name: multiplicative, factor: own.py:loss}]}\n"
    )
    loaded = port(folder, text)
    before = loaded.fingerprint(Step.LR_SCHEDULER)

    assert loaded.lr_scheduler is not None
    schedules = loaded.lr_scheduler.args["schedules"]
    assert [each["factor"] for each in schedules] == [0.5, f"{folder / 'own.py'}:loss"]
    (folder / "own.py").write_text((folder / "own.py").read_text() + "# changed\n")
    assert port(folder, text).fingerprint(Step.LR_SCHEDULER) != before
    assert "there is no file" in refusal(folder, text.replace("own.py", "onw.py"))


def test_the_reference_keeps_shared_arguments_that_the_candidate_overrides(folder: Path) -> None:
    asked = port(folder, FULL).request(Role.REFERENCE, Step.BACKWARD, folder)

    assert asked.optimizer == Spec(name="adamw", args={"lr": 3e-5, "no_decay": ["bias", "norm"]})
    assert asked.loss == Spec(function=f"{folder / 'own.py'}:loss")
    assert asked.precisions == (Precision.NATIVE, Precision.FLOAT64)


def test_a_side_may_have_its_own_batches_names_and_device(folder: Path) -> None:
    text = MINIMAL.replace(
        "paddle, build: sides.py:build",
        "torch, build: sides.py:build, batches: own.py:loss, inputs: {x: images}, device: cuda",
    )

    both = [port(folder, text).request(role, Step.FORWARD, folder) for role in Role]

    assert [each.batches.rpartition(":")[2] for each in both] == ["batches", "loss"]
    assert [each.inputs for each in both] == [{}, {"x": "images"}]
    assert [each.device for each in both] == ["cpu", "cuda"]
    assert [each.other_framework for each in both] == ["torch", "torch"]


def test_roles_may_name_functions_where_both_frameworks_are_the_same(folder: Path) -> None:
    text = MINIMAL.replace("paddle", "torch") + (
        "loss: {reference: own.py:loss, candidate: own.py:paddle_loss, scale: 2}\noptimizer: sgd\n"
    )

    both = [port(folder, text).request(role, Step.BACKWARD, folder).loss for role in Role]

    assert [spec.function.rpartition(":")[2] for spec in both if spec] == ["loss", "paddle_loss"]
    assert [spec.args for spec in both if spec] == [{"scale": 2}] * 2


@pytest.mark.parametrize("spelling", ["3e-5", "3.0e-5", "0.00003", "3E-05", "+3e-5"])
def test_every_spelling_of_a_float_is_a_float(folder: Path, spelling: str) -> None:
    text = f"{MINIMAL}optimizer: {{name: sgd, lr: {spelling}}}\n"

    assert port(folder, text).optimizer.args == {"lr": 3e-5}  # type: ignore[union-attr] # it's given


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'3e-5'", "3e-5"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'no'", "no"),
        (".inf", math.inf),
        ("0x10", "0x10"),
        ("[1, [2, {a: b}]]", [1, [2, {"a": "b"}]]),
        ("é", "é"),
    ],
)
def test_values_are_what_they_look_like(folder: Path, written: str, meant: object) -> None:
    value = port(folder, f"{MINIMAL}settings: {{x: {written}}}\n").settings["x"]

    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize("word", ["auto", "on", "off"])
@pytest.mark.parametrize("key", ["twin", "parallel"])
def test_on_and_off_are_words_where_words_are_asked_for(folder: Path, key: str, word: str) -> None:
    assert getattr(port(folder, f"{MINIMAL}{key}: {word}\n"), key) == word
    assert getattr(port(folder, MINIMAL, f"{key}={word}"), key) == word


WRONG = {
    "misspelt key": ("optimzer: sgd", 5, "unknown key 'optimzer'", "did you mean 'optimizer'?"),
    "misspelt key of a side": (
        "weights: {renames: []}",
        5,
        "unknown key 'renames'",
        "did you mean 'rename'?",
    ),
    "wrong type": ("iterations: ten", 5, "iterations: 'ten'", "write a whole number here"),
    "a bool is no number": ("iterations: true", 5, "iterations: True", "write a whole number"),
    "a float is no count": ("iterations: 2.5", 5, "iterations: 2.5", "write a whole number"),
    "quoted count": ("iterations: '10'", 5, "iterations: '10'", "write a whole number"),
    "too small": ("iterations: 0", 5, "iterations: 0", "greater than or equal to 1"),
    "no list": ("outputs: logits", 5, "outputs: 'logits'", "a list, such as [a, b]"),
    "no choice": ("mode: evel", 5, "mode: 'evel'", "did you mean 'eval'?"),
    "duplicate key": ("name: other", 5, "'name' a second time", "already on line 1"),
    "duplicate deep key": ("settings: {a: 1,\n  a: 2}", 6, "'a' a second time", "remove one"),
    "tab": ("settings:\n\tsize: mini", 6, "cannot start any token", "replace the tabs"),
    "unclosed": ("settings: {size: mini", 6, "not valid YAML", "look at this line"),
    "two documents": ("---\nname: other", 5, "but found another document", "second `---`"),
    "python tag": ("settings: !!python/name:os.system", 5, "the tag", "remove the tag"),
    "harmless tag": ("settings: {x: !!str 5}", 5, "the tag", "write the value itself"),
    "anchor": ("settings: &a {x: 1}", 5, "anchor or alias 'a'", "write the value out"),
    "old bool": ("settings: {cased: no}", 5, "`no` without quotes", "write true or false"),
    "nan": ("tolerance: {mean: .nan}", 5, "`.nan` as a value", "write a number"),
    "zero tolerance": ("tolerance: {mean: 0.0}", 5, "tolerance.mean: 0.0", "greater than 0"),
    "number as key": ("settings: {1: a}", 5, "'1' as a key", "put quotes around the key"),
    "list as key": ("settings: {[1]: a}", 5, "a list or mapping as a key", "put quotes"),
    "missing file": ("loss: {torch: onw.py:loss}", 5, "there is no file", "mean 'own.py'?"),
    "missing function": ("loss: own.py:los", 5, "defines no 'los'", "did you mean 'loss'?"),
    "no function": ("loss: 'own.py:'", 5, "names no function", "write for example"),
    "suffix forgotten": ("loss: own:loss-", 5, "names no function", "file.py:function"),
    "path without suffix": ("loss: ./own:loss", 5, "neither a Python file", "write ./own.py:loss"),
    "one side only": ("loss: {torch: own.py:loss}", 5, "no function for the candidate", "add"),
    "entry of nothing": ("optimizer: {lr: 1.0}", 5, "neither a name nor a function", "`name:`"),
    "entry of a wrong type": ("loss: 3", 5, "3 where a name or a mapping belongs", "such as"),
    "quoted number": (
        "optimizer:\n  name: sgd\n  lr: '3e-5'",
        5,
        "lr: '3e-5' is text in quotes",
        "remove the quotes",
    ),
    "wrong metric": ("metrics:\n  - accuracy\n  - 7", 7, "7 where a name", "such as adamw"),
    "bad regex": ("weights:\n  rename:\n    - ['(', b]", 7, "not a regular expression", "re.sub"),
    "bad replacement": (r"weights: {rename: [['a', '\2']]}", 5, "invalid group", "re.sub"),
    "half a renaming": (
        "weights: {rename: [[a]]}",
        5,
        "weights.rename.0: ['a']",
        "[regex, replacement]",
    ),
    "wrong layout": ("weights: {layout: {a: transpose}}", 5, "'transpose'", "'transposed'?"),
    "wrong packing": ("weights: {layout: {a: q k v by x}}", 5, "'q k v by x'", "`q k v by 12`"),
    "late record": ("record: [3, 10]", 5, "[10] is outside of the 10 iterations", "0 ... 9"),
    "wrong record": ("record: some", 5, "record: 'some'", "'all'"),
    "too deep": ("settings: " + "[" * 5000, 1, "nested too deeply", "unclosed brackets"),
    "control character": ("settings: {a: \x07}", 5, "the character '\\x07'", "UTF-8"),
    "wrong device": ("device: GPU 0", 5, "device: 'GPU 0'", "it must look like"),
}


@pytest.mark.parametrize(("line", "number", "found", "do"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_line_and_remedy(
    folder: Path, line: str, number: int, found: str, do: str
) -> None:
    said = refusal(folder, f"{MINIMAL}{line}\n")

    assert said.startswith(f"{folder / 'port.yaml'}:{number}: ")
    assert found in said
    assert do in said
    assert "what to do:" in said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n", "this is no mapping"),
        ("name", "this is no mapping"),
        ("name: x\n", "`reference:` is missing"),
        (MINIMAL.replace("name: tiny\n", ""), "`name:` is missing"),
        (MINIMAL.replace("name: tiny", "name: ../up"), "name: '../up'"),
        (MINIMAL.replace(", build: sides.py:build}", "}", 1), "`build:` of `reference` is missing"),
        (MINIMAL.replace("framework: torch", "framework: jax"), "reference.framework: 'jax'"),
        (MINIMAL.replace("batches: data.py:batches\n", ""), "the reference has no batches"),
    ],
)
def test_an_incomplete_port_file_is_refused(folder: Path, text: str, found: str) -> None:
    assert found in refusal(folder, text)


def test_all_wrong_lines_are_listed(folder: Path) -> None:
    said = refusal(folder, MINIMAL + "seeds: 1\niterations: many\n")

    assert "port.yaml:5: unknown key 'seeds' (1 more to correct: " in said
    assert "port.yaml:6)" in said


def test_a_file_that_is_no_utf8_is_refused_with_its_line(folder: Path) -> None:
    (folder / "port.yaml").write_bytes(MINIMAL.encode() + b"settings: {a: \xff}\n")

    with pytest.raises(PortFileError, match=r"port.yaml:5: byte 0xff is not UTF-8"):
        load_port(folder)


def test_a_python_file_with_a_syntax_error_is_refused_before_any_side_runs(folder: Path) -> None:
    (folder / "sides.py").write_text("def build(settings:\n")

    assert "sides.py:1 is not valid Python" in refusal(folder, MINIMAL)


@pytest.mark.parametrize(
    "source",
    [
        "class build: ...",
        "build: object = 1",
        "from x import y as build",
        "from x import *",
        "try:\n    import fast\nexcept ImportError:\n    def build(s): ...",
        "(a, build) = 1, 2",
        "async def build(s): ...",
    ],
)
def test_a_function_may_be_bound_in_any_way(folder: Path, source: str) -> None:
    (folder / "sides.py").write_text(source + "\n")

    assert port(folder, MINIMAL).candidate.build.endswith("sides.py:build")


def test_a_module_reference_is_left_to_the_side_that_imports_it(folder: Path) -> None:
    text = MINIMAL.replace("sides.py:build", "their_package.models:build")

    assert port(folder, text).reference.build == "their_package.models:build"


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("settings.size=base", lambda p: p.settings["size"] == "base"),
        ("settings.rate=1", lambda p: p.settings["rate"] == 1.0),
        ("optimizer.lr=1e-4", lambda p: p.optimizer.args["lr"] == 1e-4),
        ("optimizer.candidate.epsilon=1e-6", lambda p: p.optimizer.overrides["candidate"]),
        ("iterations=3", lambda p: p.iterations == 3),
        ("seed=7", lambda p: p.seed == 7),
        ("tolerance.mean=1e-5", lambda p: p.tolerance.mean == 1e-5),
        ("record=[0, 2]", lambda p: p.record == (0, 2)),
        ("metrics=[accuracy]", lambda p: len(p.metrics) == 1),
        ("candidate.build=own.py:loss", lambda p: p.candidate.build.endswith("own.py:loss")),
        ("settings.size=a=b", lambda p: p.settings["size"] == "a=b"),
    ],
)
def test_an_override_replaces_one_entry(folder: Path, override: str, read) -> None:  # type: ignore[no-untyped-def] # a lambda of each row
    assert read(port(folder, FULL, override))


@pytest.mark.parametrize(
    ("override", "found", "do"),
    [
        ("settings.sise=base", "`settings` has no key 'sise'", "did you mean 'size'?"),
        ("setings.size=base", "no key 'setings' in the port file", "did you mean 'settings'?"),
        ("optimizer.nodecay=[a]", "`optimizer` has no key 'nodecay'", "did you mean 'no_decay'?"),
        ("settings.size=3", "3 is a whole number, and the port file has text: 'mini'", "give text"),
        ("settings.width=8.5", "8.5 is a number", "give a whole number"),
        ("settings.width=true", "True is true or false", "give a whole number"),
        ("optimizer.lr=", "None is nothing", "give a number"),
        ("optimizer=sgd", "'sgd' is text, and the port file has a mapping", "give a mapping"),
        ("metrics.0=f1", "which has no keys", "set metrics as a whole"),
        ("settings", "this is not key=value", "--set settings.size=base"),
        ("=3", "this is not key=value", "--set settings.size=base"),
        ("settings.size=[a", "is not a YAML value", "quotes"),
        ("settings.size=!!python/name:os.system", "the tag", "remove the tag"),
        ("iterations=0", "iterations: 0", "allowed here"),
        ("candidate.build=own.py:build", "defines no 'build'", "define build in"),
    ],
)
def test_an_override_that_can_not_be_meant_is_refused(
    folder: Path, override: str, found: str, do: str
) -> None:
    said = refusal(folder, FULL, override)

    assert said.startswith(f"--set {override}: ")
    assert found in said
    assert do in said


def test_a_step_without_its_entries_is_refused(folder: Path) -> None:
    tiny = port(folder, MINIMAL + "optimizer: sgd\n")

    assert tiny.missing(Step.FORWARD) == ()
    assert tiny.missing(Step.LR_SCHEDULER) == ("lr_scheduler",)
    with pytest.raises(PortFileError, match="has no `loss:`"):
        tiny.request(Role.REFERENCE, Step.BACKWARD, folder)


def test_an_interpreter_is_found_beside_the_port_file_and_its_link_is_kept(folder: Path) -> None:
    (folder / "env").symlink_to(sys.executable)
    text = MINIMAL.replace("framework: torch", "framework: torch, python: ./env")

    assert port(folder, text).interpreter(Role.REFERENCE) == os.path.normpath(folder / "env")
    assert port(folder, text).interpreter(Role.CANDIDATE) is None


@pytest.mark.parametrize("python", ["./absent", "no-such-python-9", "sides.py"])
def test_an_interpreter_that_is_not_there_is_refused(folder: Path, python: str) -> None:
    tiny = port(folder, MINIMAL.replace("framework: torch", f"framework: torch, python: {python}"))

    with pytest.raises(PortFileError, match="there is no program"):
        tiny.interpreter(Role.REFERENCE)


def test_the_fingerprint_follows_what_is_asked_and_not_where_it_lies(
    folder: Path, tmp_path: Path
) -> None:
    def of(place: Path, *overrides: str, step: Step = Step.BACKWARD) -> str:
        return port(place, FULL, *overrides).fingerprint(step)

    first, forward = of(folder), of(folder, step=Step.FORWARD)
    moved = folder.rename(tmp_path / "elsewhere")

    assert of(moved) == first
    assert of(moved, "parallel=off") == of(moved, "tolerance.mean=1e-3") == first
    assert of(moved, "optimizer.lr=1e-4") != first
    assert of(moved, "optimizer.lr=1e-4", step=Step.FORWARD) == forward
    (moved / "own.py").write_text((moved / "own.py").read_text() + "# changed\n")
    assert of(moved) != first


def test_a_port_saved_with_a_run_can_be_read_again(folder: Path) -> None:
    saved = port(folder, FULL).as_dict()
    again = {key: value for key, value in saved.items() if key != "file" and value is not None}

    assert json.loads(json.dumps(saved)) == saved
    again_port = port(folder, json.dumps(again))
    assert again_port.as_dict() == saved


def test_every_shipped_port_loads_by_name_and_fits_the_schema() -> None:
    names = shipped_ports()

    assert {"bert", "resnet"} <= set(names)
    for name in names:
        loaded = load_port(name)
        assert loaded.name == name
        jsonschema.validate(yaml.safe_load(loaded.file.read_text()), port_schema())


def test_a_port_is_found_by_file_by_folder_and_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port(folder, MINIMAL)
    (folder / "bert").mkdir()
    monkeypatch.chdir(folder)

    assert load_port(str(folder)) == load_port("port.yaml") == load_port(".")
    assert load_port("bert").file.parent.parent.name == "ports"
    with pytest.raises(PortFileError, match=r"there is no file .*bert.port\.yaml"):
        load_port("./bert")


@pytest.mark.parametrize(
    ("name", "said"),
    [("brt", "did you mean 'bert'?"), ("absent/port.yaml", "there is no file")],
)
def test_a_port_that_is_not_there_is_named(name: str, said: str) -> None:
    with pytest.raises(PortFileError) as caught:
        load_port(name)

    assert said in str(caught.value)


def test_the_schema_in_the_docs_is_current() -> None:
    written = json.loads((ROOT / "docs" / "port.schema.json").read_text())

    assert written == port_schema(), "run `make schema`"


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("loss: cross_entropy", True),
        ("optimizer: {name: sgd, lr: 0.1, candidate: {lr: 0.2}}", True),
        ("loss: {torch: a.py:b, paddle: a.py:c}", True),
        ("record: [0, 3]", True),
        ("optimzer: sgd", False),
        ("iterations: ten", False),
        ("optimizer: {lr: 0.1}", False),
        ("mode: evel", False),
    ],
)
def test_editors_see_the_same_mistakes(line: str, fits: bool) -> None:
    data = yaml.safe_load(MINIMAL + line)

    assert jsonschema.Draft202012Validator(port_schema()).is_valid(data) == fits
