"""What several tests share: a tiny BERT on disk, and small files of examples."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from minbert.bert import Bert, BertConfig
from minbert.pretrained import save_encoder
from minbert.recipes import load
from tiny import with_training, write_tasks

WORDS = ["a", "the", "good", "bad", "film", "was", "not", "very", "quiet", "dull", "cat", "dog", "sat"]
# the same examples in every run, and no deadlines; --hypothesis-profile=default draws new ones
settings.load_profile("ci")
COURSE_DATA = Path(__file__).parents[2] / "shared" / "data"


def tiny_config(**changes: object) -> BertConfig:
    sizes: dict[str, object] = {
        "vocab_size": 64,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
    }
    return BertConfig(**(sizes | changes))  # type: ignore[arg-type]


def tiny_tokenizer(folder: Path) -> Tokenizer:
    """Lower-casing WordPiece over a few words and all letters, so no Latin text is unknown as a whole."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *".,!?'\"0123456789"]
    vocabulary = list(dict.fromkeys(vocabulary))[:64]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return Tokenizer.from_str(BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True).to_str())


@pytest.fixture
def tiny_encoder(tmp_path: Path) -> Path:
    """The folder of a random BERT: 16 wide, 2 layers, 40 positions, dropout 0.1."""
    return encoder_in(tmp_path / "tiny-bert")


def encoder_in(folder: Path) -> Path:
    """That encoder, written into a folder."""
    folder.mkdir()
    torch.manual_seed(0)
    save_encoder(Bert(tiny_config()), tiny_tokenizer(folder), folder)
    return folder


@pytest.fixture
def values(tmp_path: Path, tiny_encoder: Path) -> dict[str, object]:
    """A recipe of three tasks on the tiny encoder, with dropout and everything on."""
    return values_in(tmp_path, tiny_encoder)


def values_in(folder: Path, encoder: Path) -> dict[str, object]:
    """The keys of that recipe, its tasks' files written into a folder."""
    return {
        "name": "tiny",
        "encoder": str(encoder),
        "tasks": write_tasks(folder),
        "optimizer": {"lr": 1e-2},
        "training": {"batch_size": 3, "epochs": 4, "swap_pairs": True, "checkpoint_every": 2},
    }


@pytest.fixture
def recipes(values: dict[str, object], tmp_path: Path) -> Path:
    """A folder of two recipes of six epochs of two updates: PCG with surgery, and SUM, its control, without."""
    return recipes_in(tmp_path / "recipes", values)


def recipes_in(folder: Path, values: dict[str, object]) -> Path:
    """Those two recipes, written into a folder."""
    folder.mkdir()
    for name, method in (("PCG", "pcgrad"), ("SUM", "sum")):
        control = {"control": {"of": "PCG", "key": "gradients.method"}} if name == "SUM" else {}
        changes: dict[str, object] = {"name": name, "gradients": {"method": method}} | control
        recipe = load(with_training(values, epochs=6, checkpoint_every=1) | changes)
        (folder / f"{name.lower()}.toml").write_text(recipe.to_toml(), encoding="utf-8")
    return folder


@pytest.fixture
def course_data() -> Path:
    """The real data in the course's layout, where it lies beside the checkout."""
    if not COURSE_DATA.is_dir():
        pytest.skip(f"the course's data is not at {COURSE_DATA}")
    return COURSE_DATA


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny models gain nothing from a second thread, and tests run side by side."""
    torch.set_num_threads(1)
