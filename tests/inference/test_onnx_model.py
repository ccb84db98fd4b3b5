"""A folder of graphs, opened by onnxruntime, answers as the model did: every head, shape and text."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from minbert.data import Examples
from minbert.errors import InputError, ModelError
from minbert.inference import onnx_model
from minbert.inference.onnx_model import Agreement, OnnxModel, agreement
from minbert.model import MultitaskModel
from minbert.predictions import Predictions
from minbert.pretrained import load_tokenizer, locate
from minbert.tasks import Task
from minbert.text import Batch, pad

from .conftest import TASKS, TEXTS

PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))


def inputs(task: str) -> list[object]:
    return list(PAIRS if "text" in TASKS[task] else TEXTS)


def batch(task: str, examples: int, length: int, seed: int = 0) -> Batch:
    """Random ids; every text has its own number of real tokens, two at least."""
    is_pair, draw = "text" in TASKS[task], torch.Generator().manual_seed(seed)
    texts = examples * (2 if is_pair else 1)
    ids = torch.randint(5, 60, (texts, length), generator=draw)
    lengths = torch.randint(2, length + 1, (texts, 1), generator=draw)
    lengths[0] = length
    return Batch(ids, (torch.arange(length) < lengths).long(), is_pair)


def assert_same(ours: MultitaskModel, theirs: OnnxModel, task: str, given: Batch) -> None:
    np.testing.assert_allclose(theirs.batch_outputs(task, given), ours.batch_outputs(task, given), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def opened(exported: Path) -> OnnxModel:
    return OnnxModel.from_pretrained(exported)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_gives_the_models_outputs(task: str, model: MultitaskModel, opened: OnnxModel) -> None:
    assert_same(model, opened, task, batch(task, 5, 17))
    outputs = model.batch_outputs(task, batch(task, 5, 17))
    assert np.ptp(outputs, axis=0).min() > 1e-2  # texts differ, so the comparison says something


@pytest.mark.parametrize("task", ["mean", "cosine"])
@pytest.mark.parametrize("examples", [1, 2, 7])
@pytest.mark.parametrize("length", [2, 3, 17, 128, 512])
def test_no_shape_is_frozen(task: str, examples: int, length: int, model: MultitaskModel, opened: OnnxModel) -> None:
    assert_same(model, opened, task, batch(task, examples, length))


@pytest.mark.parametrize("task", ["mean", "cls", "near"])
def test_a_text_keeps_its_output_beside_500_pads(task: str, model: MultitaskModel, opened: OnnxModel) -> None:
    alone = batch(task, 1, 12)
    short = Batch(alone.input_ids, torch.ones_like(alone.input_ids), alone.is_pair)
    wide = torch.nn.functional.pad(short.input_ids, (0, 500), value=7)  # what lies under the mask is no matter
    padded = Batch(wide, torch.nn.functional.pad(short.attention_mask, (0, 500)), short.is_pair)
    np.testing.assert_allclose(opened.batch_outputs(task, padded), opened.batch_outputs(task, short), atol=1e-5, rtol=0)
    assert_same(model, opened, task, padded)


@pytest.mark.parametrize("task", ["mean", "cls", "raw", "cosine"])
def test_a_row_of_padding_alone_gives_the_models_numbers(task: str, model: MultitaskModel, opened: OnnxModel) -> None:
    given = batch(task, 3, 9)
    mask = given.attention_mask.clone()
    mask[1] = 0
    blank = Batch(given.input_ids, mask, given.is_pair)
    assert np.isfinite(opened.batch_outputs(task, blank)).all()
    assert_same(model, opened, task, blank)


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_ids_of_32_bits_do_as_well(kind: torch.dtype, model: MultitaskModel, opened: OnnxModel) -> None:
    given = batch("mean", 2, 5)
    ids, mask = given.input_ids.to(kind), given.attention_mask.to(kind)
    np.testing.assert_array_equal(
        opened.batch_outputs("mean", Batch(ids, mask, False)), opened.batch_outputs("mean", given)
    )


def test_the_two_texts_of_a_pair_may_have_different_lengths(model: MultitaskModel, exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported / "near.onnx")
    one, two = batch("mean", 2, 4, seed=1), batch("mean", 2, 9, seed=2)
    arrays = [one.input_ids, one.attention_mask, two.input_ids, two.attention_mask]
    names = [given.name for given in session.get_inputs()]
    (score,) = session.run(["score"], {name: a.numpy() for name, a in zip(names, arrays, strict=True)})
    joined = [torch.nn.functional.pad(part, (0, 5)) for part in arrays[:2]]
    both = Batch(torch.cat([joined[0], arrays[2]]), torch.cat([joined[1], arrays[3]]), True)
    np.testing.assert_allclose(score, model.batch_outputs("near", both), atol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_a_graph_says_what_goes_in_and_comes_out(task: str, model: MultitaskModel, exported: Path) -> None:
    onnx.checker.check_model(str(exported / f"{task}.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(exported / f"{task}.onnx")
    parts, spec = ("_1", "_2") if "text" in TASKS[task] else ("",), model.tasks[task]
    names = ("input_ids", "attention_mask")
    expected = [(f"{name}{part}", ["batch", f"length{part}"]) for part in parts for name in names]
    assert [(given.name, given.shape) for given in session.get_inputs()] == expected
    classes = [("logits", ["batch", spec.num_outputs]), ("probabilities", ["batch", len(spec.labels or ())])]
    outputs = [("score", ["batch", 1])] if spec.is_regression else classes
    assert [(output.name, output.shape) for output in session.get_outputs()] == outputs
    about = session.get_modelmeta().custom_metadata_map
    said = {"task": task, "kind": spec.kind, "head": spec.head, "pooling": spec.pooling}
    assert said.items() <= about.items()
    assert json.loads(about["max_length"]) == (spec.max_length or 512)
    if spec.is_regression:
        assert json.loads(about["range"]) == [1.0, 5.0]
    else:
        assert json.loads(about["labels"]) == spec.labels


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_the_models(task: str, model: MultitaskModel, opened: OnnxModel) -> None:
    """Blank and cut texts and their notes included: one code reads texts and answers for both."""
    for ours, theirs in zip(model.predict(task, inputs(task)), opened.predict(task, inputs(task)), strict=True):
        assert theirs.note == ours.note
        if ours.probabilities is None:
            assert theirs.score == pytest.approx(ours.score, abs=1e-4)
            assert theirs.answer == pytest.approx(ours.answer, abs=1e-4)
        else:
            assert theirs.answer == ours.answer
            assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-4)


@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("cosine", "near")])
def test_the_graphs_probabilities_are_those_of_predict(task: str, model: MultitaskModel, exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported / f"{task}.onnx")
    encoded = model.encode(task, _examples(task))
    arrays = [array.numpy() for column in encoded.texts for array in pad(column)]
    names = [given.name for given in session.get_inputs()]
    (found,) = session.run(["probabilities"], dict(zip(names, arrays, strict=True)))
    np.testing.assert_allclose(found, model.predict_encoded(task, encoded).scores, atol=1e-5)


def _examples(task: str) -> Examples:
    columns = [list(column) for column in zip(*PAIRS, strict=True)] if "text" in TASKS[task] else [TEXTS]
    return Examples([str(place) for place in range(len(TEXTS))], columns)


def test_equal_sentences_have_exactly_the_highest_score(opened: OnnxModel) -> None:
    assert [answer.score for answer in opened.predict("cosine", [(text, text) for text in TEXTS])] == [5.0] * len(TEXTS)


def test_wrong_input_is_refused_as_by_the_model(opened: OnnxModel) -> None:
    with pytest.raises(InputError, match=r"no task 'mena' \(did you mean 'mean'\?\)"):
        opened.predict("mena", ["a"])
    with pytest.raises(InputError, match="takes pairs of texts"):
        opened.predict("near", ["a b"])


def test_shared_weights_are_stored_once(model: MultitaskModel, exported: Path) -> None:
    floats = 4 * sum(weight.numel() for weight in model.parameters())
    assert (exported / "weights.bin").stat().st_size < 1.5 * floats < 0.3 * floats * len(TASKS)


def test_the_tokenizer_is_the_models(model: MultitaskModel, exported: Path) -> None:
    theirs = load_tokenizer(exported)
    assert [theirs.encode(text).ids for text in TEXTS] == [model.tokenizer.encode(text).ids for text in TEXTS]


@pytest.mark.parametrize("task", ["cls", "several", "crossed", "cosine"])
def test_the_example_runs_without_minbert(task: str, model: MultitaskModel, exported: Path) -> None:
    given = PAIRS[3] if "text" in TASKS[task] else TEXTS[3]  # longer than two of the tasks take
    texts = [given] if isinstance(given, str) else list(given)
    block = "import runpy, sys; sys.modules['minbert'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    words = [sys.executable, "-W", "error", "-c", block, str(exported / "example.py"), task, *texts]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (expected,) = model.predict(task, [given])
    first, *rest = done.stdout.splitlines()
    if expected.probabilities is None:
        assert float(first) == pytest.approx(expected.answer, abs=1e-4)
    else:
        answer = expected.answer
        assert first == (", ".join(answer) if isinstance(answer, list) else answer)
        assert json.loads(rest[0]) == pytest.approx(expected.probabilities, abs=1e-4)


def test_the_example_says_how_many_texts_it_needs(exported: Path) -> None:
    words = [sys.executable, str(exported / "example.py"), "near", "a"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "task near takes 2 text(s)\n")


@pytest.mark.parametrize("words", [[], ["maen", "a text"], ["../mean", "a"]])
def test_the_example_says_how_it_is_called_and_for_which_tasks(words: list[str], exported: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(exported / "example.py"), *words], check=False, capture_output=True, text=True
    )
    usage = 'usage: python example.py TASK "a text", or of a pair "one text" "the other"; tasks: '
    assert (done.returncode, done.stderr) == (1, usage + ", ".join(sorted(TASKS)) + "\n")


def test_a_folder_of_graphs_is_no_model_and_no_encoder(exported: Path) -> None:
    said = (
        f"{exported} holds ONNX graphs, which `minbert predict --backend onnx` and OnnxModel open; here name the model "
        "that they were exported from"
    )
    for opened in (MultitaskModel.from_pretrained, MultitaskModel.from_encoder, locate):
        with pytest.raises(ModelError) as refused:
            opened(str(exported))
        assert str(refused.value) == said


def test_int8_rounds_the_encoder_and_keeps_the_head(model: MultitaskModel) -> None:
    from minbert.inference import onnx_graph

    graph = onnx_model.quantized(onnx_graph.task_graph(model, "features", model.tasks["features"]))
    kinds = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    assert kinds["head.dense.weight"] == onnx.TensorProto.FLOAT
    rounded = {name.removesuffix("_quantized") for name, kind in kinds.items() if kind == onnx.TensorProto.UINT8}
    encoder = {f"{name}.weight" for name, part in model.encoder.named_modules() if isinstance(part, torch.nn.Linear)}
    assert rounded - {name for name in rounded if name.endswith("zero_point")} == (
        encoder - {"pooler.dense.weight"} | {"embeddings.word_embeddings.weight"}
    )


def test_agreement_is_of_classes_or_of_scores() -> None:
    ids, values = ["a", "b", "c", "d"], np.array([0.0, 1.0, 1.0, 2.0])
    classes = Task(kind="classification", labels=["x", "y", "z"]).completed(None)
    scores = Task(kind="pair-regression", text=["a", "b"], range=(0, 5)).completed(None)
    ours, theirs = Predictions(ids, values, values), Predictions(ids, values[[0, 1, 2, 2]], values[[0, 1, 2, 2]])
    assert agreement("t", classes, ours, theirs) == Agreement("t", 4, "labels equal", 0.75, 0.90)
    assert agreement("t", classes, ours, ours).is_enough
    r = np.corrcoef(ours.scores, theirs.scores)[0, 1]
    found = agreement("t", scores, ours, theirs)
    assert (found.measure, found.value, found.bound) == ("r", pytest.approx(r), 0.99)
    assert not found.is_enough
    flat = Predictions(ids, np.zeros(4), np.zeros(4))
    assert not agreement("t", scores, ours, flat).is_enough  # r is undefined there


ANEW = "write one: minbert export MODEL --format onnx --output DIR"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("mean.onnx", None, f"holds no mean.onnx; {ANEW}"),
        ("weights.bin", None, f"holds no weights.bin; {ANEW}"),
        ("tasks.json", None, f"holds no ONNX graph of minbert's; {ANEW}"),
        ("mean.onnx", "no", r"mean.onnx cannot be opened \(.*; export the model anew"),
        ("weights.bin", "no", r"mean.onnx cannot be opened \(.*; export the model anew"),
    ],
)
def test_a_folder_that_is_no_whole_export_is_refused(
    file: str, text: str | None, message: str, exported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(exported, folder)
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    with pytest.raises(ModelError, match=message) as refused:
        OnnxModel.from_pretrained(folder).predict("mean", ["a"])
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(
    package: str, model: MultitaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model.importlib.util, "find_spec", lambda name: None if name == package else 1)
    with pytest.raises(ModelError, match=rf"needs the package {package}: pip install 'minbert\[onnx\]'"):
        onnx_model.export(model, tmp_path, int8=False)


def test_a_model_without_tasks_is_refused(model: MultitaskModel, tmp_path: Path) -> None:
    bare = MultitaskModel(model.encoder, model.tokenizer, {})
    with pytest.raises(ModelError, match="has no task to answer; for its vectors take --format sentence-transformers"):
        onnx_model.export(bare, tmp_path, int8=False)
