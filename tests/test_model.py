"""MultitaskModel on the tiny encoder: answers, vectors, and a folder that gives the same answers again."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from conftest import tiny_config, tiny_tokenizer
from minbert import answering
from minbert import model as model_module
from minbert.answering import Prediction
from minbert.bert import Bert
from minbert.cards import with_calibration
from minbert.data import Examples
from minbert.errors import InputError, ModelError
from minbert.heads import POOLINGS, cosine
from minbert.model import MultitaskModel
from minbert.pretrained import load_encoder, load_tokenizer
from minbert.tasks import Calibration, Task

PAIR = {"text": ["sentence1", "sentence2"]}
SST = Task(kind="classification", labels=["0", "1", "2", "3", "4"]).completed(None)
PARA = Task(kind="pair-classification", labels=["no", "yes"], **PAIR).completed(None)
STS = Task(kind="pair-regression", range=(0.0, 5.0), **PAIR).completed(None)

TEXTS = ["the cat sat .", "a very good film , was not dull ?", "dog", "not bad , not good " * 3, "the quiet dog sat !"]
PAIRS = list(zip(TEXTS, [*TEXTS[1:], TEXTS[0]], strict=True))
INPUTS: dict[str, list[object]] = {"sst": [*TEXTS], "para": [*PAIRS], "sts": [*PAIRS]}
BLANK = ["", "   ", "\u200b", "\u0000", "\ufeff"]


def build(encoder: Path, tasks: dict[str, Task]) -> MultitaskModel:
    """A model with every weight drawn large enough for its answers to differ."""
    model = MultitaskModel(load_encoder(encoder), load_tokenizer(encoder), tasks)
    torch.manual_seed(8)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(float(name.endswith("LayerNorm.weight")), 0.5)
    return model.eval()


@pytest.fixture
def model(tiny_encoder: Path) -> MultitaskModel:
    return build(tiny_encoder, {"sst": SST, "para": PARA, "sts": STS})


def numbers(predictions: list[Prediction]) -> np.ndarray:
    """The probabilities, or the score, of every prediction: [N, K]."""
    return np.array([list(p.probabilities.values()) if p.probabilities else [p.score] for p in predictions])


# Predictions


@pytest.mark.parametrize("task", ["sst", "para", "sts"])
@pytest.mark.parametrize("budget", [1, 40, 4096])
def test_answers_come_in_the_order_of_the_inputs_and_equal_single_ones(
    task: str, budget: int, model: MultitaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = [model.predict(task, [item])[0] for item in INPUTS[task]]
    monkeypatch.setattr(answering, "MAX_TOKENS", budget)
    for order in ([0, 1, 2, 3, 4], [4, 0, 3, 1, 2], [2, 2, 0]):
        batch = model.predict(task, [INPUTS[task][i] for i in order])
        np.testing.assert_allclose(numbers(batch), numbers([single[i] for i in order]), atol=1e-5, rtol=0)
        assert [p.answer for p in batch] == [pytest.approx(single[i].answer, abs=1e-5) for i in order]


@pytest.mark.parametrize(("task", "labels"), [("sst", list("01234")), ("para", ["no", "yes"])])
def test_a_class_is_the_likeliest_of_its_named_probabilities(
    task: str, labels: list[str], model: MultitaskModel
) -> None:
    predictions = model.predict(task, INPUTS[task])
    for prediction in predictions:
        assert prediction.probabilities is not None
        assert list(prediction.probabilities) == labels
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.answer == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
        assert (prediction.score, prediction.note) == (None, "")
    assert len({prediction.answer for prediction in predictions}) > 1


def test_a_score_is_kept_in_its_range_and_shown_beside_the_raw_one(tiny_encoder: Path) -> None:
    narrow = Task(kind="pair-regression", range=(0.0, 0.1), head="concat", **PAIR).completed(None)
    model = build(tiny_encoder, {"near": narrow})
    middle = np.median(numbers(model.predict("near", PAIRS)))
    model.heads["head_near"].dense.bias.data -= middle
    predictions = model.predict("near", PAIRS)
    raw = [p.score for p in predictions]
    assert min(raw) < 0
    assert max(raw) > 0.1
    assert [p.answer for p in predictions] == [min(0.1, max(0.0, score)) for score in raw]
    assert all(p.probabilities is None for p in predictions)


def test_identical_sentences_under_a_cosine_give_the_upper_end(model: MultitaskModel) -> None:
    """Field report B21."""
    for prediction in model.predict("sts", [(text, text) for text in [*TEXTS, "", "cat " * 99]]):
        assert prediction.score == pytest.approx(5.0, abs=1e-5)


def test_notes_say_empty_and_truncated(model: MultitaskModel) -> None:
    long = "cat " * 39
    assert [p.note for p in model.predict("sst", [*BLANK, "cat", "cat " * 38, long])] == [
        *["empty"] * len(BLANK),
        "",
        "",
        "truncated",
    ]
    pairs = [("cat", "dog"), ("cat", ""), ("", "cat"), ("cat", long), (long, "cat"), (long, " ")]
    expected = ["", "empty", "empty", "truncated", "truncated", "empty"]
    assert [p.note for p in model.predict("para", pairs)] == expected


@pytest.mark.parametrize("task", ["sst", "para", "sts"])
def test_blank_texts_have_finite_answers_and_leave_their_neighbours_as_they_were(
    task: str, model: MultitaskModel
) -> None:
    """Field report B23."""
    inputs = INPUTS[task]
    blank = [*BLANK] if task == "sst" else [(text, "cat") for text in BLANK] + [("cat", text) for text in BLANK]
    mixed = numbers(model.predict(task, [inputs[0], *blank, *inputs[1:]]))
    assert np.isfinite(mixed).all()
    kept = np.delete(mixed, range(1, 1 + len(blank)), axis=0)
    np.testing.assert_allclose(kept, numbers(model.predict(task, inputs)), atol=1e-6, rtol=0)


def test_a_text_of_any_letters_or_length_has_a_finite_answer(model: MultitaskModel) -> None:
    """Field report B17."""
    texts = ["x" * 5000, "\ud83d", "cat \udc00", "🙂🙃 🎉", "the cat sat . " * 14000, "ＣＡＴ"]
    assert np.isfinite(numbers(model.predict("sst", texts))).all()
    assert np.isfinite(model.embed(texts)).all()


@pytest.mark.parametrize("task", ["sst", "para", "sts"])
def test_no_inputs_give_no_answers(task: str, model: MultitaskModel) -> None:
    assert model.predict(task, []) == []
    none = Examples([], [[]] * len(model.tasks[task].text_columns))
    assert len(model.predict_encoded(task, model.encode(task, none)).values) == 0


@pytest.mark.parametrize("task", ["para", "sts"])
@pytest.mark.parametrize(
    ("inputs", "place"),
    [
        (["a", "b"], 0),
        ([("a", "b"), "ab"], 1),
        ([["a"]], 0),
        ([["a", "b"], ["a", "b", "c"]], 1),
        ([("a", None)], 0),
        ([("a", "b")] * 3 + [None], 3),
        ([7], 0),
        ([{"a": 1, "b": 2}], 0),
    ],
)
def test_a_pair_task_refuses_what_is_no_pair(
    task: str, inputs: list[object], place: int, model: MultitaskModel
) -> None:
    """Field report B29: the task's kind decides what an input is, never the list's length."""
    message = f"input {place} is {inputs[place]!r}; task '{task}' takes pairs of texts, (first, second)"
    with pytest.raises(ValueError, match=re.escape(message)):
        model.predict(task, inputs)


@pytest.mark.parametrize(
    ("inputs", "place"), [([["good"], ["bad"]], 0), (["good", ("a", "b")], 1), (["a", None], 1), ([7], 0), ([b"a"], 0)]
)
def test_a_task_of_single_texts_refuses_what_is_no_text(
    inputs: list[object], place: int, model: MultitaskModel
) -> None:
    message = f"input {place} is {inputs[place]!r}; task 'sst' takes one text an input"
    with pytest.raises(ValueError, match=re.escape(message)):
        model.predict("sst", inputs)


def test_lists_of_two_are_two_texts_or_two_pairs_by_the_tasks_kind(model: MultitaskModel) -> None:
    assert len(model.predict("sst", ["good", "bad"])) == 2
    assert len(model.predict("sst", np.array(["good", "bad", "dull"]))) == 3
    assert len(model.predict("para", [["a", "b"], ["c", "d"]])) == 2
    assert len(model.predict("para", [("a", "b")])) == 1


@pytest.mark.parametrize("task", ["sst", "para"])
def test_one_text_is_no_list_of_inputs(task: str, model: MultitaskModel) -> None:
    with pytest.raises(ValueError, match="inputs is one text; pass a list of inputs"):
        model.predict(task, "ab")


def test_an_unknown_task_names_those_that_there_are(model: MultitaskModel) -> None:
    message = r"this model has no task 'spt' \(did you mean 's\w+'\?\); it has \['sst', 'para', 'sts'\]"
    with pytest.raises(ValueError, match=message):
        model.predict("spt", ["good"])


@pytest.mark.parametrize("training", [True, False])
def test_answers_are_without_dropout_and_the_mode_comes_back(training: bool, model: MultitaskModel) -> None:
    expected = [numbers(model.predict(task, INPUTS[task])) for task in INPUTS], model.embed(TEXTS)
    model.train(training)
    predicted = [numbers(model.predict(task, INPUTS[task])) for task in INPUTS]
    for ours, before in zip([*predicted, model.embed(TEXTS)], [*expected[0], expected[1]], strict=True):
        np.testing.assert_array_equal(ours, before)
    encoded = model.encode("sst", Examples(["a"], [["cat"]]))
    encoded.texts[0][0][1] = 64  # no token of this encoder
    with pytest.raises(IndexError):
        model.predict_encoded("sst", encoded)
    assert {module.training for module in model.modules()} == {training}


# What the model computes


every_head = pytest.mark.parametrize(
    "choice",
    [
        {"kind": "classification", "labels": ["a", "b", "c"]},
        {"kind": "pair-classification", "labels": ["a", "b"], **PAIR},
        {"kind": "pair-classification", "labels": ["a", "b", "c"], "head": "concat", **PAIR},
        {"kind": "pair-classification", "labels": ["a", "b"], "head": "concat-cosine", "loss": "cross-entropy", **PAIR},
        {"kind": "pair-regression", "range": (1.0, 5.0), **PAIR},
        {"kind": "pair-regression", "range": (0.0, 1.0), "head": "interaction", **PAIR},
    ],
    ids=lambda choice: "-".join(str(choice[key]) for key in ("kind", "head") if key in choice),
)


@every_head
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_ragged_batch_gives_the_output_and_loss_of_its_texts_one_by_one(
    choice: dict[str, object], pooling: str, tiny_encoder: Path
) -> None:
    task = Task(**choice, pooling=pooling).completed(None)
    model = build(tiny_encoder, {"task": task})
    texts = [TEXTS, [*TEXTS[1:], TEXTS[0]]][: 1 + task.is_pair]
    labels = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    encoded = model.encode("task", Examples(list("abcde"), texts, labels))

    def pooled(ids: list[int]) -> torch.Tensor:
        mask = torch.ones(1, len(ids), dtype=torch.long)
        return POOLINGS[pooling](model.encoder(torch.tensor([ids]), mask), mask)

    expected = torch.cat([model.heads["head_task"](*map(pooled, row)) for row in zip(*encoded.texts, strict=True)])
    batch = encoded.batch(range(5))
    output = model.output("task", batch)
    assert output.shape == (5, task.num_outputs)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)

    target = torch.tensor(labels, dtype=torch.float32)
    if task.loss == "cross-entropy":
        loss = F.cross_entropy(expected, target.long())
    elif task.loss == "bce":
        loss = F.binary_cross_entropy(expected[:, 0].sigmoid(), target)
    else:
        loss = ((expected[:, 0] - target) ** 2).mean()
    torch.testing.assert_close(model.loss("task", batch), loss, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_embed_gives_what_pooling_the_encoders_states_gives(pooling: str, model: MultitaskModel) -> None:
    vectors = model.embed([*TEXTS, ""], pooling)
    assert vectors.shape == (6, 16)
    assert vectors.dtype == np.float32
    for text, vector in zip([*TEXTS, ""], vectors, strict=True):
        ids = torch.tensor([model.tokenizer.encode(text).ids])
        last_hidden, pooled = model.encoder(ids, torch.ones_like(ids))
        expected = {"mean": last_hidden[0].mean(0), "cls": pooled[0], "cls-raw": last_hidden[0, 0]}[pooling]
        torch.testing.assert_close(torch.tensor(vector), expected, atol=1e-6, rtol=1e-6)
    scaled = model.embed([*TEXTS, ""], pooling, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(scaled, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)


def test_embed_keeps_the_order_over_many_batches_and_takes_no_texts(
    model: MultitaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.embed(TEXTS)
    monkeypatch.setattr(model_module, "MAX_TOKENS", 10)
    np.testing.assert_allclose(model.embed(TEXTS), expected, atol=1e-6)
    assert model.embed([]).shape == (0, 16)
    assert model.embed([]).dtype == np.float32
    np.testing.assert_array_equal(model.embed(np.array(TEXTS)), model.embed(TEXTS))


@pytest.mark.parametrize(
    ("texts", "pooling", "message"),
    [
        ("one text", "mean", "texts is one text; pass a list of texts"),
        (["a", None], "mean", "text 1 is None, which is no text"),
        ([("a", "b")], "mean", r"text 0 is \('a', 'b'\), which is no text"),
        (["a"], "max", "pooling 'max' is unknown; take one of cls, cls-raw, mean"),
    ],
)
def test_embed_refuses_what_is_no_list_of_texts(
    texts: object, pooling: str, message: str, model: MultitaskModel
) -> None:
    with pytest.raises(ValueError, match=message):
        model.embed(texts, pooling)


def test_embed_and_a_cosine_task_agree(model: MultitaskModel) -> None:
    first, second = (torch.tensor(model.embed([pair[side] for pair in PAIRS])) for side in (0, 1))
    expected = 5 * cosine(first, second)
    np.testing.assert_allclose(numbers(model.predict("sts", PAIRS)), expected, atol=1e-5)


# Limits


def test_a_tasks_own_limit_cuts_its_texts(tiny_encoder: Path) -> None:
    short = SST.model_copy(update={"max_length": 6})
    model = build(tiny_encoder, {"short": short, "long": SST})
    examples = Examples(["a"], [["cat dog cat dog cat dog"]])
    assert [len(model.encode(task, examples).texts[0][0]) for task in ("short", "long")] == [6, 8]
    assert model.predict("short", examples.texts[0])[0].note == "truncated"
    assert model.max_length == 40


def test_a_tasks_limit_above_the_encoders_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        build(tiny_encoder, {"sst": SST.model_copy(update={"max_length": 41})})
    assert str(caught.value) == "task 'sst': max_length = 41 is more than this encoder's 40 tokens"


def test_a_tokenizer_of_another_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the tokenizer knows 59 tokens and the encoder 50; they are not of one model"):
        MultitaskModel(Bert(tiny_config(vocab_size=50)), tiny_tokenizer(tmp_path), {})


# A model's folder


@every_head
def test_a_saved_model_answers_with_the_same_bits(
    choice: dict[str, object], tiny_encoder: Path, tmp_path: Path
) -> None:
    task = Task(**choice, pooling="cls").completed(None)
    model = build(tiny_encoder, {"task": task})
    model.save_pretrained(tmp_path / "saved")
    loaded = MultitaskModel.from_pretrained(tmp_path / "saved")
    inputs = PAIRS if task.is_pair else TEXTS
    assert loaded.tasks == {"task": task}
    assert loaded.predict("task", inputs) == model.predict("task", inputs)


def test_tasks_may_have_the_names_of_methods(tiny_encoder: Path, tmp_path: Path) -> None:
    names = ["update", "type", "keys", "forward", "training", "head_sst", "a-b", "a"]
    model = build(tiny_encoder, dict.fromkeys(names, SST) | {"values": STS})
    model.save_pretrained(tmp_path / "saved")
    loaded = MultitaskModel.from_pretrained(tmp_path / "saved")
    assert list(loaded.tasks) == [*names, "values"]
    for name in names:
        assert loaded.predict(name, TEXTS) == model.predict(name, TEXTS)
    assert len({str(model.predict(name, TEXTS)) for name in names}) == len(names)
    assert loaded.predict("values", PAIRS) == model.predict("values", PAIRS)


def test_a_model_without_weights_of_its_own_heads_is_saved_and_loaded(tiny_encoder: Path, tmp_path: Path) -> None:
    model = build(tiny_encoder, {"sts": STS})
    assert list(model.named_head_parameters()) == []
    model.save_pretrained(tmp_path / "saved")
    assert MultitaskModel.from_pretrained(tmp_path / "saved").predict("sts", PAIRS) == model.predict("sts", PAIRS)


def test_a_models_folder_holds_what_the_design_says(model: MultitaskModel, tmp_path: Path) -> None:
    model.train().save_pretrained(tmp_path / "new" / "saved")
    folder = tmp_path / "new" / "saved"
    assert {file.name for file in folder.iterdir()} == {
        *("config.json", "model.safetensors", "heads.safetensors", "tasks.json"),
        *("tokenizer.json", "tokenizer_config.json", "README.md"),
    }
    stored = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    assert list(stored) == ["sst", "para", "sts"]
    assert stored["para"]["text"] == ["sentence1", "sentence2"]
    assert stored["sts"]["range"] == [0.0, 5.0]
    assert stored["sst"]["labels"] == ["0", "1", "2", "3", "4"]
    assert not {"train", "dev", "test"} & set(stored["sst"])
    assert set(load_file(folder / "heads.safetensors")) == {name for name, _ in model.named_head_parameters()}
    card = (folder / "README.md").read_text(encoding="utf-8")
    names = ", ".join(stored["para"]["labels"])
    assert (
        f"| para | pair-classification | sentence1 and sentence2 | {names} | interaction | mean | 40 tokens |" in card
    )
    for heading in ("Intended use", "Limits", "Before it decides about people"):
        assert f"\n## {heading}\n" in card
    loaded = MultitaskModel.from_pretrained(folder)
    assert not loaded.training
    model.save_pretrained(folder, about="\nTrained on nothing.\n")
    assert (folder / "README.md").read_text(encoding="utf-8").replace("\nTrained on nothing.\n", "", 1) == card


def test_a_model_that_is_saved_again_keeps_its_card(model: MultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "one", about="\nTrained on nothing.\n")
    MultitaskModel.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    one, two = ((tmp_path / name / "README.md").read_text(encoding="utf-8") for name in ("one", "two"))
    assert one == two
    assert "Trained on nothing." in two


def test_a_calibration_is_saved_with_the_model_and_stands_in_its_card(model: MultitaskModel, tmp_path: Path) -> None:
    found = Calibration(rows=40, files={"mine.csv": "0"}, temperature=1.5, above=[0.0], answered=[40], wrong=[3])
    model.tasks["sst"] = model.tasks["sst"].model_copy(update={"calibration": found})
    model.save_pretrained(tmp_path)
    loaded = MultitaskModel.from_pretrained(tmp_path)
    assert loaded.tasks["sst"].calibration == found
    assert loaded.tasks["para"].calibration is None
    one = with_calibration(loaded.card or "", loaded.tasks)
    row = "| sst | 40 | mine.csv | temperature 1.500 |"
    assert one.index(row) < one.index("\n## Intended use\n")
    assert with_calibration(one, loaded.tasks) == one
    assert one.replace(one[one.index("\n## Calibration") : one.index("\n## Intended use")], "") == loaded.card
    own = with_calibration("# My model\n\n## Notes\n\nKeep these.\n", loaded.tasks)
    assert own.startswith("# My model\n\n## Notes\n\nKeep these.\n\n## Calibration")
    assert with_calibration(own + "\n## More\n\nAnd these.\n", loaded.tasks).count("And these.") == 1


def test_a_model_abstains_for_python_too(model: MultitaskModel) -> None:
    texts = ["a good film", "the cat sat", "dull"]
    spec = model.tasks["sst"]
    sure = sorted(max((one.probabilities or {}).values()) for one in model.predict("sst", texts))
    found = Calibration(rows=400, files={}, above=[sure[0], 0.0], answered=[200, 400], wrong=[0, 200])
    model.tasks["sst"] = model.tasks["sst"].model_copy(update={"calibration": found})
    before = [one.answer for one in model.predict("sst", texts)]
    threshold = model.threshold("sst", 0.05)
    assert threshold is not None
    assert threshold.above == sure[0]
    after = model.predict("sst", texts, abstain=0.05)
    assert [one.answer for one in after].count("?") == 1
    for old, one in zip(before, after, strict=True):
        assert one.answer == ("?" if max((one.probabilities or {}).values()) <= sure[0] else old)
    assert [one.answer for one in model.predict("sst", texts)] == before  # asked once, it is not so from then on
    encoded = model.encode("sst", Examples(["0", "1", "2"], [texts]))
    assert not np.isnan(model.predict_encoded("sst", encoded).values).any()
    model.tasks["sst"] = spec
    with pytest.raises(InputError, match=r"this model has no task 'sts2' \(did you mean 'sts'\?\)"):
        model.predict("sts2", [("a", "b")], abstain=0.05)


def test_a_blank_text_is_left_to_a_person_where_the_model_may_abstain(model: MultitaskModel) -> None:
    spec = model.tasks["sst"]
    found = Calibration(rows=400, files={}, above=[0.0], answered=[400], wrong=[0])
    model.tasks["sst"] = spec.model_copy(update={"calibration": found})
    texts = ["dull", "", " \t"]
    assert [one.answer == "?" for one in model.predict("sst", texts, abstain=0.05)] == [False, True, True]
    assert [one.note for one in model.predict("sst", texts, abstain=0.05)] == ["", "empty", "empty"]
    assert "?" not in [one.answer for one in model.predict("sst", texts)]
    model.tasks["sst"] = spec


def test_the_example_of_a_card_runs(model: MultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    example = (tmp_path / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(example.replace("PATH/TO/THIS/FOLDER", str(tmp_path)), "README.md", "exec"), {})


def test_a_runs_folder_gives_its_best_model(model: MultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "run" / "best")
    assert MultitaskModel.from_pretrained(tmp_path / "run").predict("sst", TEXTS) == model.predict("sst", TEXTS)
    np.testing.assert_array_equal(MultitaskModel.from_encoder(str(tmp_path / "run")).embed(TEXTS), model.embed(TEXTS))


def test_what_tasks_json_leaves_out_is_the_kinds_own_choice(model: MultitaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    kept = ("kind", "text", "labels", "range")
    brief = {name: {key: task[key] for key in kept if key in task} for name, task in stored.items()}
    (tmp_path / "tasks.json").write_text(json.dumps(brief), encoding="utf-8")
    loaded = MultitaskModel.from_pretrained(tmp_path)
    assert loaded.tasks == {"sst": SST, "para": PARA, "sts": STS}
    assert loaded.predict("para", PAIRS) == model.predict("para", PAIRS)


def test_an_encoder_alone_embeds(tiny_encoder: Path) -> None:
    loaded = MultitaskModel.from_encoder(str(tiny_encoder))
    assert loaded.embed(["the cat"]).shape == (1, 16)
    with pytest.raises(ValueError, match=r"this model has no task 'sst'; it has \[\]"):
        loaded.predict("sst", ["cat"])
    weights = load_file(tiny_encoder / "model.safetensors")
    save_file({k: w for k, w in weights.items() if "pooler" not in k}, tiny_encoder / "model.safetensors")
    assert MultitaskModel.from_encoder(str(tiny_encoder)).embed(["the cat"]).shape == (1, 16)
    with pytest.raises(ModelError, match="has no pooler weights, which pooling = 'cls' needs"):
        MultitaskModel.from_encoder(str(tiny_encoder), pooling="cls")


def change_task(folder: Path, name: str, **changes: object) -> None:
    stored = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    stored[name] = {key: value for key, value in (stored[name] | changes).items() if value is not None}
    (folder / "tasks.json").write_text(json.dumps(stored), encoding="utf-8")


def drop_head(folder: Path, key: str) -> None:
    heads = load_file(folder / "heads.safetensors")
    save_file({name: weight for name, weight in heads.items() if name != key}, folder / "heads.safetensors")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no tasks": (
        lambda f: (f / "tasks.json").unlink(),
        "holds no tasks.json, so it is no model of minbert's; train one from it first",
    ),
    "tasks cut short": (
        lambda f: (f / "tasks.json").write_text('{"sst": {'),
        r"tasks.json is damaged \(.*\); copy the model anew",
    ),
    "tasks a list": (lambda f: (f / "tasks.json").write_text("[1]"), r"tasks.json is damaged \(.*\); copy the model"),
    "a task of no kind": (lambda f: change_task(f, "sst", kind=None), r"tasks.json is damaged \(.*kind.*\); copy"),
    "a key from elsewhere": (lambda f: change_task(f, "sst", colour="red"), r"is damaged \(.*colour.*\); copy"),
    "no labels": (
        lambda f: change_task(f, "sst", labels=None),
        r"tasks.json is damaged \(task 'sst' has no labels\); copy the model anew",
    ),
    "a limit above the encoder's": (
        lambda f: change_task(f, "sts", max_length=99),
        "task 'sts': max_length = 99 is more than this encoder's 40 tokens",
    ),
    "other labels": (
        lambda f: change_task(f, "sst", labels=["0", "1"]),
        "heads.safetensors does not fit task 'sst': .*size mismatch for dense.weight",
    ),
    "a head's weight missing": (
        lambda f: drop_head(f, "para.dense.bias"),
        "heads.safetensors does not fit task 'para': .*Missing key.* \"dense.bias\"",
    ),
    "no heads": (
        lambda f: (f / "heads.safetensors").unlink(),
        "heads.safetensors is missing; copy the checkpoint anew",
    ),
    "heads damaged": (
        lambda f: (f / "heads.safetensors").write_bytes(b"\0" * 9),
        r"heads.safetensors is damaged \(.*\); copy it anew",
    ),
    "no encoder": (lambda f: (f / "model.safetensors").unlink(), "holds none of model.safetensors, "),
    "no config": (lambda f: (f / "config.json").unlink(), "holds no config.json; name the folder of a BERT checkpoint"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "holds neither tokenizer.json nor vocab.txt; copy"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_models_folder_is_refused_in_one_line(fault: str, model: MultitaskModel, tmp_path: Path) -> None:
    damage, message = FAULTS[fault]
    model.save_pretrained(tmp_path / "saved")
    damage(tmp_path / "saved")
    with pytest.raises(ModelError, match=message) as caught:
        MultitaskModel.from_pretrained(tmp_path / "saved")
    assert "\n" not in str(caught.value)


def test_a_models_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        MultitaskModel.from_pretrained(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path / 'none'} does not exist; name a model's folder, such as runs/NAME/best"
