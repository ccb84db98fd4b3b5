"""What tests of exports share: a model with every head, pooling, loss and kind, and awkward texts."""

from pathlib import Path

import pytest
import torch

from conftest import tiny_config, tiny_tokenizer
from minbert.bert import Bert
from minbert.model import MultitaskModel
from minbert.tasks import Task

PAIR = {"text": ["one", "two"]}
CLASSES = {"kind": "pair-classification", "labels": ["no", "yes"]} | PAIR
SCORE = {"kind": "pair-regression", "range": (1.0, 5.0)} | PAIR
HOT = {"rows": 9, "files": {}, "temperature": 1.7}
TASKS = {
    "mean": {"kind": "classification", "labels": ["x", "y", "z"]},
    "cls": {"kind": "classification", "labels": ["x", "y"], "pooling": "cls", "max_length": 7},
    "raw": {"kind": "classification", "labels": ["x", "y"], "pooling": "cls-raw"},
    "several": {"kind": "multi-label", "labels": ["a, b", "ü", "c"], "calibration": HOT},
    "concat": CLASSES | {"head": "concat", "loss": "cross-entropy", "pooling": "cls"},
    "crossed": CLASSES | {"head": "concat-cosine", "max_length": 9, "calibration": HOT},
    "features": CLASSES | {"head": "interaction", "pooling": "cls-raw"},
    "borrowed": CLASSES | {"head": "interaction", "pooling": "cls-raw", "shares_head": "features"},
    "cosine": SCORE | {"head": "cosine"},
    "near": SCORE | {"head": "interaction"},
}
TEXTS = ["The GOOD film", "", "a cat sat", "not very quiet " * 30, "Café Zürich was dull!", "dog", " [SEP] \u4e2d a\tb"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> MultitaskModel:
    """512 positions, and weights large enough that texts differ."""
    torch.manual_seed(0)
    bert = Bert(tiny_config(max_position_embeddings=512, initializer_range=0.3))
    tasks = {name: Task.model_validate(task).completed(None) for name, task in TASKS.items()}
    return MultitaskModel(bert, tiny_tokenizer(tmp_path_factory.mktemp("vocabulary")), tasks).eval()


@pytest.fixture(scope="session")
def exported(model: MultitaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's graphs in fp32."""
    from minbert.inference.onnx_model import export

    folder = tmp_path_factory.mktemp("graphs")
    export(model, folder, int8=False)
    return folder
