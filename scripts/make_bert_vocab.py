"""Train the WordPiece vocabulary of the shipped BERT port from the sentences that ship with it.

The `tokenizers` library (it comes with transformers) does the training. Its trainer numbers the
single characters in hash order and breaks ties by those numbers, so that two runs give two
vocabularies (seen with tokenizers 0.23.3); naming every character beforehand makes it repeatable.

    python scripts/make_bert_vocab.py            # writes lite_data/vocab.txt
    python scripts/make_bert_vocab.py --check    # writes nothing, exits 1 if the file would change
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

LITE_DATA = Path(__file__).resolve().parents[1] / "pipeline/portalign/ports/bert/lite_data"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
N_PIECES = 1000  # of about 1,100 that occur twice: common words stay whole, rare ones are cut


def train(sentences: Sequence[str]) -> list[str]:
    """Train the vocabulary, in the order of its ids: special tokens, characters, merged pieces.

    >>> train(["so so good", "so good"])[:8]
    ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'd', '##d', 'g']
    """
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    text = "".join(tokenizer.normalizer.normalize_str(sentence) for sentence in sentences)
    characters = sorted(set(text) - {" "})
    pieces = [piece for character in characters for piece in (character, f"##{character}")]
    trainer = WordPieceTrainer(
        vocab_size=N_PIECES,
        min_frequency=2,
        special_tokens=[*SPECIAL, *pieces],
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=lambda piece: ids[piece])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the vocabulary, or with ``--check`` compare it. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    is_check = parser.parse_args(arguments).check
    lines = (LITE_DATA / "sentences.tsv").read_text(encoding="utf-8").splitlines()
    text = "".join(f"{piece}\n" for piece in train([line.split("\t")[0] for line in lines]))
    vocabulary = LITE_DATA / "vocab.txt"
    if is_check:
        is_same = vocabulary.is_file() and vocabulary.read_text(encoding="utf-8") == text
        print(f"{vocabulary} {'is up to date' if is_same else 'is not what the script makes now'}")
        return 0 if is_same else 1
    vocabulary.write_text(text, encoding="utf-8")
    print(f"wrote {len(text.splitlines())} pieces to {vocabulary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
