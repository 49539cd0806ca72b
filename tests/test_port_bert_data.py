"""The data of the BERT port that ships: batches, tokens, vocabulary, and what its files import."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml

from portalign.ports.bert import data

ROOT = Path(__file__).resolve().parents[1]
PORT = Path(data.__file__).parent


def test_batches_hold_every_sentence_once_in_file_order_and_end_short() -> None:
    labels = [label for _, label in data.read_examples()]

    seen = list(data.batches({"size": "mini"}))

    assert [len(batch["labels"]) for batch in seen] == [8] * 39 + [7]
    assert np.concatenate([batch["labels"] for batch in seen]).tolist() == labels
    assert {array.dtype for batch in seen for array in batch.values()} == {np.dtype("int64")}
    assert {tuple(batch) for batch in seen} == {
        ("input_ids", "token_type_ids", "attention_mask", "labels")
    }


def test_batches_are_the_same_bytes_every_time() -> None:
    first, second = (
        [array.tobytes() for batch in data.batches({}) for array in batch.values()]
        for _ in range(2)
    )

    assert first == second


def test_rows_are_padded_to_the_longest_of_their_batch_and_long_ones_are_cut() -> None:
    vocabulary = data.read_vocabulary()
    is_cut = []

    for batch in data.batches({"max_length": 20}):
        lengths = batch["attention_mask"].sum(axis=1)
        ids = batch["input_ids"]
        last = ids[np.arange(len(ids)), lengths - 1]
        is_padding = np.arange(ids.shape[1]) >= lengths[:, None]
        is_cut.append(lengths.max() == 20)

        assert ids.shape[1] == lengths.max() <= 20
        assert (ids[:, 0] == vocabulary["[CLS]"]).all() and (last == vocabulary["[SEP]"]).all()
        assert ((batch["attention_mask"] == 0) == is_padding).all()
        assert ((ids == vocabulary["[PAD]"]) == is_padding).all()

    assert any(is_cut)


def test_every_batch_of_the_backward_step_has_padding_and_both_classes() -> None:
    for batch in islice(data.batches({}), 10):
        assert (batch["attention_mask"] == 0).any()
        assert set(batch["labels"].tolist()) == {0, 1}


def test_sentences_are_distinct_balanced_and_fully_in_the_vocabulary() -> None:
    examples, vocabulary = data.read_examples(), data.read_vocabulary()
    ids = {i for text, _ in examples for i in data.encode(text, vocabulary, max_length=99)}

    assert len({text for text, _ in examples}) == len(examples) >= 300
    assert 0.45 < np.mean([label for _, label in examples]) < 0.55
    assert vocabulary["[UNK]"] not in ids


@pytest.mark.parametrize(
    "text",
    ["", "  ", "Crème BRÛLÉE!", "a$b^c`d", "x" * 90, "日 film", "an emoji \U0001f3ac", "tab\there"],
)
def test_words_are_cut_as_the_tokenizers_library_cuts_odd_text(text: str) -> None:
    assert data.encode(text, data.read_vocabulary(), max_length=128) == _library_ids(text)


def test_words_are_cut_as_the_tokenizers_library_cuts_every_sentence() -> None:
    vocabulary = data.read_vocabulary()

    for text, _ in data.read_examples():
        assert data.encode(text, vocabulary, max_length=128) == _library_ids(text)


def _library_ids(text: str) -> list[int]:
    tokenizers = pytest.importorskip("tokenizers", reason="needs the tokenizers package")
    ids: list[int] = tokenizers.BertWordPieceTokenizer(data.read_vocabulary()).encode(text).ids
    return ids


def test_vocabulary_script_makes_the_shipped_file_again_and_notices_a_change(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tokenizers", reason="needs the tokenizers package")
    lite_data = tmp_path / data.LITE_DATA.relative_to(ROOT)
    shutil.copytree(data.LITE_DATA, lite_data)
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts/make_bert_vocab.py", tmp_path / "scripts")

    unchanged = subprocess.run([sys.executable, script, "--check"], check=False)
    (lite_data / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    changed = subprocess.run([sys.executable, script, "--check"], check=False)

    assert (unchanged.returncode, changed.returncode) == (0, 1)


@pytest.mark.parametrize(
    ("file", "foreign"),
    [
        ("data.py", {"torch", "transformers", "paddle", "tokenizers"}),
        ("torch_side.py", {"paddle"}),
        ("paddle_side.py", {"torch", "transformers"}),
    ],
)
def test_each_file_of_the_port_imports_its_own_framework_only(file: str, foreign: set[str]) -> None:
    tree = ast.parse((PORT / file).read_text(encoding="utf-8"))
    names = [n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert not foreign & {name.split(".")[0] for name in names}


def test_port_file_names_files_and_functions_that_exist() -> None:
    port = yaml.safe_load((PORT / "port.yaml").read_text(encoding="utf-8"))
    places = [port["reference"]["build"], port["candidate"]["build"], port["batches"]]

    for place in places:
        file, function = place.split(":")
        tree = ast.parse((PORT / file).read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    assert port["optimizer"]["lr"] == 3.0e-5  # a number, and not the text YAML makes of 3e-5
