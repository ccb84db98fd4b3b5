"""A saved tokenizer cuts texts in transformers as it does here: case, accents, and tokenizers unlike BERT's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from tokenizers.models import WordPiece
from transformers import AutoTokenizer

from conftest import tiny_config, tiny_tokenizer
from minbert.bert import Bert
from minbert.pretrained import save_encoder


def _bert_tokenizer(folder: Path, **choices: object) -> Tokenizer:
    tiny_tokenizer(folder)
    return Tokenizer.from_str(BertWordPieceTokenizer(str(folder / "vocab.txt"), **choices).to_str())  # type: ignore[arg-type]


def _unlike_bert(folder: Path, **parts: object) -> Tokenizer:
    tokenizer = tiny_tokenizer(folder)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


@pytest.mark.parametrize(
    "made",
    [
        lambda folder: _bert_tokenizer(folder, lowercase=True),
        lambda folder: _bert_tokenizer(folder, lowercase=False),
        lambda folder: _bert_tokenizer(folder, lowercase=True, strip_accents=False),
        lambda folder: _bert_tokenizer(folder, lowercase=False, strip_accents=True, handle_chinese_chars=False),
        lambda folder: _unlike_bert(folder, normalizer=normalizers.Sequence([normalizers.NFKC()])),
        lambda folder: _unlike_bert(folder, pre_tokenizer=pre_tokenizers.WhitespaceSplit()),
        lambda folder: _unlike_bert(folder, model=_short_words(folder)),
        lambda folder: _turned(_bert_tokenizer(folder)),
    ],
    ids=["uncased", "cased", "accents", "chinese", "normalizer", "words", "short words", "template"],
)
def test_transformers_cuts_texts_as_the_saved_tokenizer_does(made: Callable[[Path], Tokenizer], tmp_path: Path) -> None:
    tokenizer = made(tmp_path)
    save_encoder(Bert(tiny_config()), tokenizer, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = ["The GOOD Film", "café was dull!", "a\u4e2db c", "\uff41 b", "good" * 20, "", "[SEP] a [MASK]", "dog" * 50]
    assert [theirs(text)["input_ids"] for text in texts] == [tokenizer.encode(text).ids for text in texts]
    assert theirs.model_max_length == 40
    assert theirs.pad_token == "[PAD]"


def _turned(tokenizer: Tokenizer) -> Tokenizer:
    """[SEP] before the text in place of after it; of no text it is [CLS] [SEP] as BERT's."""
    special = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] [SEP] $A", special_tokens=special)
    return tokenizer


def _short_words(folder: Path) -> WordPiece:
    return WordPiece(tiny_tokenizer(folder).get_vocab(), unk_token="[UNK]", max_input_chars_per_word=10)
