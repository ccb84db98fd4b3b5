"""A model and a pooling -> a folder that sentence-transformers opens, whose vectors are those of `embed`."""

import json
from pathlib import Path

from torch import Tensor

from minbert import cards
from minbert.errors import ModelError
from minbert.files import write_text
from minbert.model import MultitaskModel
from minbert.pretrained import has_berts_template, save_encoder, write_weights

MODES = {"mean": "mean_tokens", "cls-raw": "cls_token", "cls": "cls_token"}
"""sentence-transformers' names of the poolings. The tanh pooler is its first token with a dense layer after it."""
ABOUT, MARK = "config_sentence_transformers.json", "minbert"  # the library passes over a key that it does not know
USE = """
Sentence vectors of {size} numbers, {pooling} pooling{normalized}; a text is cut at {length} tokens.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("PATH/TO/THIS/FOLDER")
model.encode(["a sentence"])  # float32 [1, {size}], what `minbert embed` gives
```
"""


def export(model: MultitaskModel, folder: Path, pooling: str, normalize: bool) -> None:
    """Fills a folder. Raises ModelError where the library would cut or pad texts in another way."""
    if model.tokenizer.token_to_id("[PAD]") is None:
        raise ModelError("the tokenizer has no token [PAD], which sentence-transformers pads with; add one to it")
    if not has_berts_template(model.tokenizer):
        raise ModelError(
            "the tokenizer writes more than [CLS] text [SEP], which sentence-transformers would cut otherwise"
        )
    size = model.encoder.config.hidden_size
    save_encoder(model.encoder, model.tokenizer, folder)
    modules = {"Transformer": "", "Pooling": "1_Pooling"}
    _write(folder / "sentence_bert_config.json", {"max_seq_length": model.max_length, "do_lower_case": False})
    _write(folder / "1_Pooling" / "config.json", _pooling(size, MODES[pooling]))
    if pooling == "cls":
        modules["Dense"] = "2_Dense"
        _write_dense(folder / "2_Dense", size, model.encoder.pooler.dense.state_dict())
    if normalize:
        modules["Normalize"] = f"{len(modules)}_Normalize"
        (folder / modules["Normalize"]).mkdir()
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{name}"}
        for place, (name, path) in enumerate(modules.items())
    ]
    _write(folder / "modules.json", listed)
    _write(folder / ABOUT, {"similarity_fn_name": "cosine", MARK: "export"})
    normalized = ", length 1" if normalize else ""
    use = USE.format(size=size, pooling=pooling, normalized=normalized, length=model.max_length)
    text = cards.exported(
        "sentence-transformers", "Sentence vectors of a minbert model", use, _without_heads(model.card)
    )
    write_text(folder / "README.md", text)


def _without_heads(card: str | None) -> str | None:
    """A model's card without what is true of its tasks alone, which are not in the folder."""
    for title in (cards.CALIBRATION, cards.SCORES):
        card = None if card is None else cards.without(title, card)
    return None if card is None else cards.without_tasks(card)


def is_export(folder: Path) -> bool:
    """Whether `export` wrote a folder."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and MARK in about


def _pooling(size: int, mode: str) -> dict[str, object]:
    """In the keys that every version of the library reads."""
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    return {"word_embedding_dimension": size, **{f"pooling_mode_{name}": name == mode for name in modes}}


def _write_dense(folder: Path, size: int, weights: dict[str, Tensor]) -> None:
    about = {"in_features": size, "out_features": size, "bias": True}
    _write(folder / "config.json", about | {"activation_function": "torch.nn.modules.activation.Tanh"})
    write_weights({f"linear.{key}": weight for key, weight in weights.items()}, folder / "model.safetensors")


def _write(file: Path, value: object) -> None:
    write_text(file, json.dumps(value, indent=2) + "\n")
