"""minbert: a small, readable BERT that learns several sentence tasks at once.

The map, in the order in which a sentence meets the files:

    tables       files -> cells                      gradients   one gradient per task -> one
    data         cells -> examples                   optimizer   a gradient -> an update
    text         examples -> batches of token ids    schedules   what trains at step t
    bert         token ids -> hidden states          training    the loop
    heads        hidden states -> a task's output    evaluation  predictions -> scores
    losses       output, labels -> one number        runs        a run's folder
    predictions  outputs -> answers                  recipes     a run as data; `schema` has its keys

`tasks` says what a task is, `labels` reads a row's label, `model` joins encoder and heads, `pretrained` brings weights
in and out, `metrics` holds the scores, `jobs` makes all that training needs from a recipe, `task_gradients` is the
first half of an update, `packing` leaves padding out of `bert`, `dropout` draws cheap bits for it, `kernels` chooses
how to multiply matrices, `comparison` says what a difference between runs is worth, by way of `resampling`; `splits`
joins a task's files and has `holdout` choose rows to hold back, `decoding` gives `dialects` a file's lines and that
gives `tables` rows, `frames` takes tables from Python, `answering` takes texts to answers for whatever runs a model,
`cards` and `provenance` write a model's card, `hub` gives `pretrained` a repository's files, and `errors` and `files`
are below everything. `calibration` says how sure answers are. `prepare` looks at files before training and proposes
recipes for them, `experiments` trains many recipes and seeds, or a recipe's tasks alone and together, and compares
them, `inference` puts a trained model to work, here and in other programs, on files of any length, `reports` writes
down what was found, `cli` is the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minbert.answering import Prediction
    from minbert.bert import Bert, BertConfig
    from minbert.errors import MinbertError
    from minbert.model import MultitaskModel
    from minbert.training import train

__all__ = ["Bert", "BertConfig", "MinbertError", "MultitaskModel", "Prediction", "train"]
_HOMES = {
    "Bert": "bert",
    "BertConfig": "bert",
    "MinbertError": "errors",
    "MultitaskModel": "model",
    "Prediction": "answering",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first asked for, so that `import minbert` loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'minbert' has no attribute '{name}'")
    return getattr(import_module(f"minbert.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
