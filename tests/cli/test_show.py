"""What is printed: totals that mean something, long texts in little room, and nothing on import."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minbert
from cli.conftest import Command
from minbert.cli import show
from minbert.evaluation import Evaluation, score
from minbert.predictions import from_outputs
from minbert.tasks import BUILT_IN, Task

NO_CONSOLE = """
import rich.console
def refuse(*arguments, **options):
    raise AssertionError("an import looked at the terminal")
rich.console.Console.__init__ = refuse
import minbert.cli.show
"""


def test_an_import_looks_at_no_terminal() -> None:
    subprocess.run([sys.executable, "-c", NO_CONSOLE], check=True)


def test_there_are_two_consoles_and_each_is_made_once() -> None:
    assert not show.results.stderr
    assert show.messages.stderr
    assert show.messages is show.messages is show.console(is_error=True)
    with pytest.raises(AttributeError, match=r"module 'minbert\.cli\.show' has no attribute 'result'"):
        _ = show.result


def evaluation_of(*names: str) -> Evaluation:
    """The tasks by these names; one that is not the course's is of sst's kind."""
    scores = {}
    for name in names:
        task = Task.model_validate(BUILT_IN.get(name, BUILT_IN["sst"])).completed(None)
        outputs = np.arange(4.0 * task.num_outputs).reshape(4, -1)
        scores[name] = score(task, from_outputs(task, list("abcd"), outputs, np.array([0.0, 1.0, 1.0, 0.0])))
    return Evaluation(scores, {})


@pytest.mark.parametrize(
    ("names", "totals"),
    [
        (["sst"], []),
        (["sst", "sts"], ["sum"]),
        (["para", "sts", "sst"], ["sum", "course"]),
        (["sst", "para", "sts", "cfimdb"], ["sum"]),
        (["mood", "tone"], ["sum"]),
    ],
)
@pytest.mark.parametrize("trained", [False, True])
def test_the_courses_score_is_shown_for_its_three_tasks_alone(
    names: list[str], totals: list[str], trained: bool
) -> None:
    evaluation = evaluation_of(*names)
    table = show.score_table("Scores", evaluation, evaluation if trained else None)
    assert list(table.columns[0].cells) == [*names, *totals]
    assert (show.leaderboard(evaluation) is None) is ("course" not in totals)


def test_programs_get_null_where_there_is_no_course_score(command: Command, trained: Path) -> None:
    scores = json.loads(command("evaluate", trained, "--json").out)
    parts = [scores["tasks"][name]["score"] for name in ("sst", "para", "sts")]
    assert scores["course"] == pytest.approx((parts[0] + parts[1] + (parts[2] + 1) / 2) / 3)
    assert json.loads(command("evaluate", trained, "--task", "sst", "--json").out)["course"] is None


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_text_is_shortened_on_a_terminal_alone(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    model, long = minbert.MultitaskModel.from_pretrained(trained), "good film " * 500
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    show.show_answers(model, "para", [["short", long]])
    _, _, first, second, note = capsys.readouterr().out.rstrip("\n").split("\t")
    assert (first, note) == ("short", "[truncated]")
    assert second == (long[:59] + "…" if is_terminal else long)


@pytest.mark.parametrize(
    ("bounds", "weight", "hint"), [((0, 100), 1.0, "0.001"), ((0, 5), 1.0, None), ((0, 100), 0.01, None)]
)
def test_scores_over_a_wide_range_may_drown_other_tasks(
    bounds: tuple[float, float], weight: float, hint: str | None
) -> None:
    close = Task(kind="pair-regression", text=["a", "b"], range=bounds, weight=weight)
    tasks = {"mood": Task(kind="classification"), "close": close}
    warnings = show.range_warnings(tasks)
    assert [hint in warning for warning in warnings if hint] == ([True] if hint else [])
    assert bool(warnings) is (hint is not None)
    assert show.range_warnings({"close": close}) == []
