"""What is exported for sentence-transformers opens there and gives the vectors of `embed`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, normalizers, processors
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from conftest import tiny_config, tiny_tokenizer
from minbert.bert import Bert
from minbert.cards import with_calibration
from minbert.errors import ModelError
from minbert.inference.st_layout import export
from minbert.model import MultitaskModel
from minbert.tasks import Calibration

from .conftest import TEXTS


def cased(folder: Path) -> Tokenizer:
    """Keeps capitals, which its vocabulary does not have, and accents."""
    tiny_tokenizer(folder)
    return Tokenizer.from_str(BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=False).to_str())


def unusual(folder: Path) -> Tokenizer:
    """Lower-cases in another way than BERT's own."""
    tokenizer = tiny_tokenizer(folder)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return tokenizer


TOKENIZERS = {"uncased": tiny_tokenizer, "cased": cased, "unusual": unusual}


@pytest.mark.parametrize("letters", TOKENIZERS)
@pytest.mark.parametrize(("pooling", "normalize"), [("mean", False), ("mean", True), ("cls-raw", False), ("cls", True)])
def test_vectors_are_those_of_embed(pooling: str, normalize: bool, letters: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bert = Bert(tiny_config(initializer_range=0.3))
    torch.nn.init.normal_(bert.pooler.dense.bias)
    model = MultitaskModel(bert, TOKENIZERS[letters](tmp_path), {}).eval()
    export(model, tmp_path / "out", pooling, normalize)
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    vectors, expected = theirs.encode(TEXTS), model.embed(TEXTS, pooling, normalize)
    assert np.ptp(expected, axis=0).min() > 1e-2
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=0)
    assert theirs.max_seq_length == model.max_length == 40


def test_the_folder_is_still_an_encoder_of_ours(model: MultitaskModel, tmp_path: Path) -> None:
    export(model, tmp_path / "out", "cls", True)
    again = MultitaskModel.from_encoder(str(tmp_path / "out"))
    np.testing.assert_array_equal(again.embed(TEXTS), model.embed(TEXTS))


def test_the_card_says_the_pooling_and_keeps_what_the_models_card_says(model: MultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model", about="\n## Training\n\nOn 17 rows.\n")
    export(MultitaskModel.from_pretrained(tmp_path / "model"), tmp_path / "out", "cls-raw", True)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Sentence vectors of 16 numbers, cls-raw pooling, length 1; a text is cut at 512 tokens." in card
    assert "On 17 rows." in card
    assert "## Limits" in card
    assert "MultitaskModel.from_pretrained" not in card  # it is no longer how this folder is opened
    assert card.count("---\n") == 2


def test_what_is_of_tasks_alone_is_not_in_the_card(model: MultitaskModel, tmp_path: Path) -> None:
    about = "\n## Training\n\nOn 17 rows.\n\n## Scores on dev\n\n| mean | 0.5 |\n"
    model.save_pretrained(tmp_path / "model", about=about)
    model = MultitaskModel.from_pretrained(tmp_path / "model")
    found = Calibration(rows=40, files={"mine.csv": "0"}, temperature=1.5)
    tasks = {"mean": model.tasks["mean"].model_copy(update={"calibration": found})}
    model.card = with_calibration(model.card or "", tasks)
    export(model, tmp_path / "out", "mean", False)
    card = (tmp_path / "out" / "README.md").read_text()
    for part in ("| task | kind |", "a head for each task", "## Scores on dev", "## Calibration by"):
        assert part in model.card
        assert part not in card
    assert "The encoder of a model with heads for tasks, without these." in card
    assert "## Training" in card
    assert "## Limits" in card


def test_a_tokenizer_with_another_template_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    special = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] [SEP] $A", special_tokens=special)
    model = MultitaskModel(Bert(tiny_config()), tokenizer, {})
    said = r"^the tokenizer writes more than \[CLS\] text \[SEP\], which sentence-transformers would cut otherwise$"
    with pytest.raises(ModelError, match=said):
        export(model, tmp_path / "out", "mean", False)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_without_padding_is_refused(tmp_path: Path) -> None:
    text = tiny_tokenizer(tmp_path).to_str().replace("[PAD]", "[pad]")
    model = MultitaskModel(Bert(tiny_config()), Tokenizer.from_str(text), {})
    with pytest.raises(ModelError, match=r"the tokenizer has no token \[PAD\], which sentence-transformers pads with"):
        export(model, tmp_path / "out", "mean", False)
    assert not (tmp_path / "out").exists()
