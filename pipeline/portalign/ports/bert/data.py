"""Batches of the BERT port: labelled sentences, cut by WordPiece, padded, as numpy arrays.

`lite_data/sentences.tsv` holds 319 film verdicts written for this project (`sentence<TAB>label`, 0
negative, 1 positive, UTF-8); `lite_data/vocab.txt` is the vocabulary that the repository's
`scripts/make_bert_vocab.py` trains from them. Either side may run this file under its own
interpreter, so it needs numpy and nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

LITE_DATA = Path(__file__).resolve().parent / "lite_data"
BATCH_SIZE = 8
MAX_LENGTH = 32  # four sentences are longer and lose their end
PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"

Batch = dict[str, npt.NDArray[np.int64]]


def batches(settings: Mapping[str, object]) -> Iterator[Batch]:
    """Yield the whole data set in file order, the last batch short, each padded to its longest row.

    Args:
        settings: `batch_size` (8) and `max_length` (32, in tokens with both end marks) are read.

    Returns:
        int64 arrays: `input_ids`, `token_type_ids` (all 0: single sentences) and `attention_mask`
        (1 token, 0 padding), each [batch, time], and `labels` [batch].
    """
    batch_size = int(str(settings.get("batch_size", BATCH_SIZE)))
    max_length = int(str(settings.get("max_length", MAX_LENGTH)))
    examples, vocabulary = read_examples(), read_vocabulary()
    for start in range(0, len(examples), batch_size):
        chosen = examples[start : start + batch_size]
        rows = [encode(text, vocabulary, max_length=max_length) for text, _ in chosen]
        yield _collate(rows, [label for _, label in chosen], padding=vocabulary[PAD])


def read_examples(path: Path = LITE_DATA / "sentences.tsv") -> list[tuple[str, int]]:
    """Read sentences and labels, in file order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(text, int(label)) for text, label in (line.split("\t") for line in lines)]


def read_vocabulary(path: Path = LITE_DATA / "vocab.txt") -> dict[str, int]:
    """Read piece -> id; the id is the line number, from 0."""
    return {piece: i for i, piece in enumerate(path.read_text(encoding="utf-8").splitlines())}


def encode(text: str, vocabulary: Mapping[str, int], *, max_length: int) -> list[int]:
    """Turn a sentence into ids between [CLS] and [SEP], cut so that at most `max_length` remain."""
    pieces = [piece for word in split_words(text) for piece in split_word(word, vocabulary)]
    return [vocabulary[piece] for piece in (START, *pieces[: max_length - 2], END)]


def split_words(text: str) -> list[str]:
    """Lower-case, drop accents, split at white space and around every punctuation mark.

    BERT's uncased rules but for Chinese characters, which the data doesn't have.

    >>> split_words("It's a Cliché.")
    ['it', "'", 's', 'a', 'cliche', '.']
    """
    plain = unicodedata.normalize("NFD", text.lower())
    spaced = (f" {c} " if _is_mark(c) else c for c in plain if unicodedata.category(c) != "Mn")
    return "".join(spaced).split()


def split_word(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """Cut one word into the longest known pieces from the left; [UNK] if that leaves a rest.

    >>> split_word("undercooked", {"under": 0, "un": 1, "##cook": 2, "##ed": 3})
    ['under', '##cook', '##ed']
    """
    pieces: list[str] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if prefix + word[start:end] in vocabulary), None)
        if end is None:
            return [UNKNOWN]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces


def _is_mark(character: str) -> bool:
    # BERT counts ASCII symbols such as $ and ^ as punctuation, though Unicode doesn't
    is_ascii_mark = "!" <= character <= "~" and not character.isalnum()
    return is_ascii_mark or unicodedata.category(character).startswith("P")


def _collate(rows: Sequence[Sequence[int]], labels: Sequence[int], *, padding: int) -> Batch:
    longest = max(map(len, rows))
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    input_ids = np.full((len(rows), longest), padding, dtype=np.int64)  # [batch, time]
    for place, row in zip(input_ids, rows, strict=True):
        place[: len(row)] = row
    return {
        "input_ids": input_ids,
        "token_type_ids": np.zeros_like(input_ids),
        "attention_mask": (np.arange(longest) < lengths[:, None]).astype(np.int64),
        "labels": np.array(labels, dtype=np.int64),
    }
