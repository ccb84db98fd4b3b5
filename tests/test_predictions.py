"""Outputs become answers; answers survive their files, the course's to the byte."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minbert.data import Examples
from minbert.errors import DataError
from minbert.labels import is_blank
from minbert.predictions import (
    Predictions,
    answer,
    columns,
    from_answers,
    from_outputs,
    metric_input,
    read_course,
    rows,
    write_course,
    write_parquet,
)
from minbert.tables import write_table
from minbert.tasks import BUILT_IN, Task

SST, PARA, STS = (Task.model_validate(BUILT_IN[name]).completed(None) for name in ("sst", "para", "sts"))
THREE = Task.model_validate(
    {"kind": "pair-classification", "text": ["a", "b"], "labels": ["no", "yes, x", "Maybe"]}
).completed(None)
IDS = ["aa11", "AA12", "a,b , c", " x y ", "0012", 'q"t', "–\u2028é"]


def answers(task: Task, ids: list[str], values: list[float], labels: list[float] | None = None) -> Predictions:
    """Predictions with the given class numbers or raw scores."""
    known = None if labels is None else np.array(labels)
    if task.is_regression:
        return from_outputs(task, ids, np.array(values).reshape(-1, 1), known)
    if task.loss == "bce":
        return from_outputs(task, ids, np.array(values).reshape(-1, 1) * 2 - 1, known)
    return from_outputs(task, ids, np.eye(len(task.labels or ()))[np.array(values, dtype=int)], known)


def refusal(path: Path, task: Task) -> str:
    with pytest.raises(DataError) as refused:
        read_course(path, task)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert message.count("\n") < 3
    return message.removeprefix(str(path)).lstrip(",: ")


# Outputs -> answers


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_classes_are_softmax_and_argmax(scale: float, n: int) -> None:
    outputs = np.random.default_rng(0).normal(size=(n, 5)) * scale
    predicted = from_outputs(SST, [str(i) for i in range(n)], outputs)
    expected = torch.softmax(torch.from_numpy(outputs), dim=1)
    np.testing.assert_allclose(predicted.scores, expected.numpy(), rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(predicted.values, torch.from_numpy(outputs).argmax(1).numpy())
    assert len(rows(SST, predicted)) == n


@pytest.mark.parametrize("logit", [-1e4, -30.0, -1.0, -1e-6, -1e-300, 0.0, 1e-300, 1e-6, 1.0, 30.0, 1e4])
def test_a_binary_logit_is_a_sigmoid_and_one_half_is_class_0(logit: float) -> None:
    """As the course rounds it: a probability of exactly 0.5 goes to the even 0."""
    predicted = from_outputs(PARA, ["a"], np.array([[logit]]))
    positive = torch.sigmoid(torch.tensor(logit, dtype=torch.float64)).item()
    np.testing.assert_allclose(predicted.scores, [[1 - positive, positive]], rtol=1e-12, atol=1e-16)
    assert predicted.values.tolist() == [round(positive)]


def test_scores_are_kept_raw_and_values_inside_the_range() -> None:
    outputs = np.array([[-0.3], [0.0], [2.5], [5.0], [5.0001]])
    predicted = from_outputs(STS, list("abcde"), outputs, np.array([0.0, 1, 2, 3, 5]))
    assert predicted.scores.tolist() == [-0.3, 0.0, 2.5, 5.0, 5.0001]
    assert predicted.values.tolist() == [0.0, 0.0, 2.5, 5.0, 5.0]
    assert metric_input(STS, predicted).tolist() == predicted.scores.tolist(), "the course scores what the head gave"


def test_class_metrics_take_class_numbers() -> None:
    assert metric_input(SST, answers(SST, ["a", "b"], [3, 0])).tolist() == [3, 0]


def test_answers_are_named() -> None:
    assert [answer(THREE, value) for value in (0.0, 1.0, 2.0)] == ["no", "yes, x", "Maybe"]
    assert answer(STS, 2.5) == 2.5


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (STS, ["prediction", "score"]),
        (PARA, ["prediction", "probability_0", "probability_1"]),
        (THREE, ["prediction", "probability_no", "probability_yes, x", "probability_Maybe"]),
    ],
)
def test_columns_and_rows_go_together(task: Task, names: list[str]) -> None:
    for values in ([], [0.0], [1.0, 0.0, 1.0]):
        cells = rows(task, answers(task, [str(i) for i, _ in enumerate(values)], values))
        assert columns(task) == names
        assert [len(row) for row in cells] == [len(names)] * len(values)
        assert [row[0] for row in cells] == [answer(task, value) for value in values]


# The course's files


@pytest.mark.parametrize(
    ("name", "task", "values", "lines"),
    [
        (
            "sst",
            SST,
            [4, 0, 3],
            ["id \t Predicted_Sentiment ", "aa11 , 4 ", "AA12 , 0 ", "a,b , c , 3 "],
        ),
        (
            "para",
            PARA,
            [0, 1, 1],
            ["id \t Predicted_Is_Paraphrase ", "aa11 , 0.0 ", "AA12 , 1.0 ", "a,b , c , 1.0 "],
        ),
        (
            "sts",
            STS,
            [np.float32(1.566194772720337), -0.25, 1.0],
            ["id \t Predicted_Similiary ", "aa11 , 1.566194772720337 ", "AA12 , -0.25 ", "a,b , c , 1.0 "],
        ),
        ("other", THREE, [1, 2, 0], ["id \t Predicted ", "aa11 , yes, x ", "AA12 , Maybe ", "a,b , c , no "]),
    ],
)
def test_the_courses_files_are_written_to_the_byte(
    tmp_path: Path, name: str, task: Task, values: list[float], lines: list[str]
) -> None:
    path = tmp_path / "predictions" / f"{name}-dev-output.csv"
    write_course(path, name, task, answers(task, IDS[:3], values))
    assert path.read_bytes() == "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize("value", [1.9243719577789307, 0.1, 1 / 3, 5.000000953674316, -0.0, 3e-8, 123456.78])
def test_scores_are_float32_in_full_digits(tmp_path: Path, value: float) -> None:
    """The shortest text of the float32 widened to a Python float, as torch's .tolist() and print give it."""
    write_course(tmp_path / "f.csv", "sts", STS, answers(STS, ["a"], [value]))
    widened = torch.tensor(value, dtype=torch.float32).item()
    assert (tmp_path / "f.csv").read_text().splitlines()[1] == f"a , {widened} "


@pytest.mark.parametrize(("name", "task"), [("sst", SST), ("para", PARA), ("sts", STS), ("other", THREE)])
@pytest.mark.parametrize("suffix", ["course", ".parquet", ".csv", ".tsv", ".jsonl"])
def test_answers_survive_their_files(tmp_path: Path, name: str, task: Task, suffix: str) -> None:
    values = [0.5, -1.25, 5.75, 2.0, 1.0, 0.0, 3.0] if task.is_regression else [1.0, 0, 1, 0, 0, 1, 1]
    predicted = answers(task, IDS, values)
    path = tmp_path / ("f.csv" if suffix == "course" else f"f{suffix}")
    if suffix == "course":
        write_course(path, name, task, predicted)
    elif suffix == ".parquet":
        write_parquet(path, task, predicted)
    else:
        write_table(path, ["id", *columns(task)], [[i, *r] for i, r in zip(IDS, rows(task, predicted), strict=True)])
    assert read_course(path, task) == dict(zip(IDS, values, strict=True))


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r")).filter(lambda text: not is_blank(text))


@settings(deadline=None)
@given(st.lists(LINES, unique=True, min_size=1))
def test_any_id_survives_the_courses_layout(ids: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        write_course(path, "sst", SST, answers(SST, ids, [3.0] * len(ids)))
        assert list(read_course(path, SST)) == ids


@pytest.mark.parametrize(
    "content",
    [
        "id \t Predicted_Sentiment \na , 3 \nb , 0 \n",
        "id \t Predicted_Sentiment \r\na , 3 \r\nb , 0 \r\n",
        "\ufeffid\tPredicted_Sentiment\na, 3 \nb,0\n\n",
        "id,prediction\na,3\nb,0.0\n",
        'id\tprediction\n"a"\t3\nb\t0\n',
    ],
)
def test_near_layouts_are_read_too(tmp_path: Path, content: str) -> None:
    (tmp_path / "f.csv").write_bytes(content.encode())
    assert read_course(tmp_path / "f.csv", SST) == {"a": 3.0, "b": 0.0}


def test_labels_may_be_declared_in_any_spelling(tmp_path: Path) -> None:
    task = Task.model_validate(BUILT_IN["para"] | {"labels": ["1.0", "0.0"]}).completed(None)
    write_course(tmp_path / "f.csv", "para", task, answers(task, ["a", "b"], [0, 1]))
    assert (tmp_path / "f.csv").read_text() == "id \t Predicted_Is_Paraphrase \na , 1.0 \nb , 0.0 \n"
    assert read_course(tmp_path / "f.csv", task) == {"a": 0.0, "b": 1.0}


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        (SST, "a , 7 ", "line 2: prediction '7' is not one of 0, 1, 2, 3, 4; correct it"),
        (SST, "a , 3 \nb ,  ", "line 3: prediction '' is not one of 0, 1, 2, 3, 4; correct it"),
        (SST, "a , 3 \nb 4", "line 3: no comma between id and prediction; write 'id , value '"),
        (SST, "a , 3 \n , 4 ", "line 3: the id is blank; write one"),
        (SST, "a , 3 \nb , 4 \na , 3 ", "line 4: id a has an answer already; keep one of them"),
        (SST, "", "has a header line and no rows; add rows"),
        (STS, "a , high ", "line 2: prediction 'high' is not a number; correct it"),
        (STS, "a , 1.0 \nb , nan ", "line 3: prediction 'nan' is not a number; correct it"),
        (STS, "a , -inf ", "line 2: prediction '-inf' is not a number; correct it"),
    ],
)
def test_a_fault_in_the_courses_file_is_named_by_line(tmp_path: Path, task: Task, content: str, message: str) -> None:
    (tmp_path / "f.csv").write_text(f"id \t Predicted_Sentiment \n{content}")
    assert refusal(tmp_path / "f.csv", task) == message


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        (SST, "id,prediction\na,3\nb\n", "line 3: 1 cell where the header has 2; add or join cells, or quote a cell"),
        (SST, "id,prediction\na,7\n", "line 2: prediction '7' is not one of 0, 1, 2, 3, 4; correct it"),
        (SST, "id,prediction\na,3\n,3\n", "line 3: the id is blank; write one"),
        (SST, "id,prediction\na,3\na,3\n", "line 3: id a has an answer already; keep one of them"),
        (
            SST,
            "id,predicted\na,3\n",
            "there is no column 'prediction' (did you mean 'predicted'?); its columns are 'id', 'predicted': correct "
            "the header, or let predict write the file",
        ),
        (STS, "id,prediction\na,x\n", "line 2: prediction 'x' is not a number; correct it"),
        (SST, "", "is empty; write what it should hold"),
    ],
)
def test_a_fault_in_another_layout_is_named_by_line(tmp_path: Path, task: Task, content: str, message: str) -> None:
    (tmp_path / "f.csv").write_text(content)
    assert refusal(tmp_path / "f.csv", task).startswith(message)


def test_what_is_no_prediction_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "f.parquet").write_bytes(b"PAR1")
    assert refusal(tmp_path / "no.csv", SST) == "does not exist; correct the path or make the file"
    assert refusal(tmp_path / "folder", SST) == "is a folder; name a file in it"
    assert refusal(tmp_path / "f.parquet", SST).startswith("is not a Parquet file (")


@pytest.mark.parametrize("example", ["a\nb", "a\r"])
def test_an_id_with_a_line_break_has_no_place_in_the_courses_layout(tmp_path: Path, example: str) -> None:
    path = tmp_path / "f.csv"
    with pytest.raises(DataError) as refused:
        write_course(path, "sst", SST, answers(SST, ["x", example], [1, 2]))
    assert str(refused.value) == (f"{path}, row 2: id {example!r} holds a line break; correct it, or write Parquet")
    assert not path.exists()


# Answers beside labels


def test_answers_take_the_order_of_the_labelled_examples(tmp_path: Path) -> None:
    examples = Examples(["b", " a ", "C"], [["x", "y", "z"]], np.array([0.0, 1.0, 2.0]))
    predicted = from_answers(tmp_path, examples, {"more": 4.0, "a": 1.0, "C": 2.0, "b": 0.0})
    assert predicted.ids == examples.ids
    assert predicted.values.tolist() == predicted.scores.tolist() == [0.0, 1.0, 2.0]
    assert predicted.labels is examples.labels


def test_examples_without_an_answer_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    examples = Examples(["b", "a", "c"], [["x", "y", "z"]], np.zeros(3))
    with pytest.raises(DataError) as refused:
        from_answers(tmp_path, examples, {"a": 1.0})
    assert str(refused.value) == (
        f"{tmp_path} has no prediction for 2 of 3 examples, such as id b; is it of another split?"
    )


# Parquet


@pytest.mark.parametrize(
    ("task", "values", "labels", "expected"),
    [
        (
            SST,
            [3.0, 0.0],
            [4.0, 0.0],
            {"id": pl.String, "label": pl.String, "prediction": pl.String}
            | {f"probability_{label}": pl.Float64 for label in range(5)},
        ),
        (
            PARA,
            [1.0, 0.0],
            None,
            {"id": pl.String, "prediction": pl.String, "probability_0": pl.Float64, "probability_1": pl.Float64},
        ),
        (
            STS,
            [5.5, -0.5],
            [5.0, 0.0],
            {"id": pl.String, "label": pl.Float64, "prediction": pl.Float64, "score": pl.Float64},
        ),
    ],
)
def test_parquet_has_named_columns(
    tmp_path: Path, task: Task, values: list[float], labels: list[float] | None, expected: dict[str, Any]
) -> None:
    predicted = answers(task, ["b", "A"], values, labels)
    write_parquet(tmp_path / "f.parquet", task, predicted)
    frame = pl.read_parquet(tmp_path / "f.parquet")
    assert dict(frame.schema) == expected
    assert frame["id"].to_list() == ["b", "A"]
    assert frame["prediction"].to_list() == [answer(task, value) for value in predicted.values]
    if labels is not None:
        assert frame["label"].to_list() == [answer(task, label) for label in labels]
    np.testing.assert_array_equal(frame[:, -1].to_numpy(), predicted.scores.reshape(2, -1)[:, -1])
