"""Planted truths are supported, planted falsehoods contradicted, and what cannot be told stays undecided."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from experiments.planted import N, group_of, mood_set, result
from minbert.data import Examples
from minbert.errors import DataError
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Point, Result
from minbert.recipes import load
from minbert.reports.claims import Judged, judge
from minbert.reports.source import Claim, read_source
from minbert.tasks import Task

ROOT = Path(__file__).parents[2]
MOOD = mood_set()
DEV = {"mood": MOOD}
GROUPS = {
    "high": group_of(MOOD, "high", 0.75, 1, 4),
    "low": group_of(MOOD, "low", 0.6, 11, 4),
    "low-again": group_of(MOOD, "low-again", 0.6, 21, 4),
    "two": group_of(MOOD, "two", 0.9, 31, 2),
}


def judged(needs: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[Result]] = GROUPS, **more: Any) -> Judged:
    tests = [{"left": ["high"], "scores": ["mood"]} | need for need in needs]
    claim = Claim.model_validate({"name": "claim", "says": "A sentence.", "needs": tests})
    (found,) = judge([claim], groups, more.get("dev", DEV))
    return found


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        ({"right": ["low"]}, "supported"),
        ({"right": ["low"], "direction": "lower"}, "contradicted"),
        ({"left": ["low"], "right": ["high"]}, "contradicted"),
        ({"left": ["low"], "right": ["high"], "direction": "lower"}, "supported"),
        ({"left": ["low"], "right": ["low-again"]}, "undecided"),
        ({"right": ["low"], "direction": "equal"}, "contradicted"),
        ({"left": ["low"], "right": ["low-again"], "direction": "equal"}, "undecided"),
        ({"right": ["low"], "direction": "not higher"}, "contradicted"),
        ({"left": ["low"], "right": ["high"], "direction": "not higher"}, "supported"),
        ({"right": ["low"], "between": [0.05, 0.25]}, "supported"),
        ({"right": ["low"], "between": [0.3, 0.4]}, "contradicted"),
        ({"right": ["low"], "between": [0.15, 0.3]}, "undecided"),
        ({"left": ["two"], "right": ["low"]}, "undecided (seeds)"),
        ({"right": ["never-run"]}, "not run"),
        ({"each_of": ["low", "low-again"]}, "supported"),
        ({"each_of": ["low", "two"]}, "undecided (seeds)"),
        ({"left": ["high", "high"], "right": ["low", "low-again"]}, "supported"),
        ({"right": ["low"], "part": "with negation"}, "supported"),
    ],
)
def test_a_requirement_is_judged(need: dict[str, Any], expected: str) -> None:
    assert judged([need]).judgement == expected


def test_a_claim_holds_where_all_it_needs_holds() -> None:
    so, not_so, open_one = ({"right": ["low"]}, {"right": ["low"], "direction": "lower"}, {"right": ["two"]})
    assert judged([so, so]).judgement == "supported"
    assert judged([so, not_so, open_one]).judgement == "contradicted"
    assert judged([so, open_one]).judgement == "undecided (seeds)"


def test_a_finding_tells_the_difference_and_what_else_differs() -> None:
    longer = [replace(one, updates=300, batches={"mood": 300}) for one in GROUPS["high"]]
    (finding,) = judged([{"right": ["low"]}], GROUPS | {"high": longer}).findings
    assert finding.what == "mood: high − low"
    assert finding.value == pytest.approx(0.15, abs=0.03)
    assert finding.interval is not None
    assert finding.interval.low < 0.15 < finding.interval.high
    differing = ["batches of mood: 300 and 100", "updates: 300 and 100", "seconds a run: 10 and 10"]
    assert finding.differing == {"high − low": differing}


def test_a_difference_of_differences_says_what_is_taken_from_what() -> None:
    need = {"left": ["high", "low-again"], "right": ["low", "two"]}
    (finding,) = judged([need], GROUPS | {"two": group_of(MOOD, "two", 0.9, 31, 4)}).findings
    assert finding.what == "mood: high + low-again − low − two"
    assert finding.value == pytest.approx(0.75 + 0.6 - 0.6 - 0.9, abs=0.05)
    assert list(finding.differing) == ["high − low", "low-again − two"]


def test_a_group_named_twice_is_one_arm() -> None:
    """Twice one group has twice its standard error; two groups that are alike have sqrt(2) of it."""
    (once,) = judged([{"right": ["low"]}]).findings
    (twice,) = judged([{"left": ["high", "high"], "right": ["low", "low"]}]).findings
    assert once.interval is not None
    assert twice.interval is not None
    assert [twice.value, *twice.interval] == pytest.approx([2 * number for number in (once.value or 0, *once.interval)])


def test_what_is_undefined_in_a_seed_is_undecided() -> None:
    """Of precision and recall where a seed never calls 1, 0 would be a guess; a correlation counts as 0."""
    dev, groups = pairs()
    first, *others = groups["it"]
    never = replace(first, answers={"same": np.zeros(N)})
    found = judged(
        [{"left": ["it"], "scores": ["same"], "statistic": "gap", "true": "0", "feature": "overlap"}],
        {"it": [never, *others]},
        dev={"same": dev},
    )
    assert (found.judgement, found.findings[0].value) == ("undecided", None)


def test_sums_are_those_of_the_same_tasks_in_any_order() -> None:
    dev = {"mood": MOOD, "calm": replace(MOOD, name="calm")}

    def both(name: str, order: list[str]) -> list[Result]:
        recipe = load({"name": name, "tasks": {task: MOOD.task.model_dump(exclude_none=True) for task in order}})
        return [replace(one, recipe=recipe, answers=dict.fromkeys(order, one.answers["mood"])) for one in GROUPS[name]]

    groups = {"high": both("high", ["mood", "calm"]), "low": both("low", ["calm", "mood"])}
    found = judged([{"right": ["low"], "scores": ["sum"]}], groups, dev=dev)
    assert found.findings[0].value == pytest.approx(0.3, abs=0.06)
    fewer = groups | {"low": both("low", ["mood"])}
    assert judged([{"right": ["low"], "scores": ["sum"]}], fewer, dev=dev).judgement == "not run"


def test_tasks_of_the_source_that_no_run_has_are_not_run() -> None:
    claim = Claim.model_validate({"name": "a", "says": "A.", "needs": [{"left": ["high"], "scores": ["para"]}]})
    assert judge([claim], GROUPS, DEV, {"para"})[0].judgement == "not run"
    with pytest.raises(DataError, match="no run has a task of that name"):
        judge([claim], GROUPS, DEV)


@pytest.mark.parametrize(
    ("need", "fault"),
    [
        ({"statistic": "curve", "right": ["low"]}, "'curve' is about a single group"),
        ({"statistic": "curve", "left": ["high", "low"]}, "'curve' is about a single group"),
        ({"statistic": "curve", "between": [0.1, 0.2]}, "'curve' goes with the directions"),
        ({"statistic": "curve", "direction": "never"}, "'curve' goes with the directions"),
        ({"statistic": "curve", "part": "with negation"}, "'curve' does not take part"),
        ({"trained": False, "right": ["low"]}, "'metric' does not take trained"),
        ({"statistic": "mean", "true": "bad"}, "'mean' does not take true"),
        ({"statistic": "cell", "true": "bad"}, "'cell' needs predicted"),
        ({"direction": "never", "each_of": ["low"]}, "'never' is about a single group"),
        ({"right": ["low"], "between": [0.3, 0.2]}, "between needs its lower end first"),
        ({"right": ["low"], "between": [0.1, 0.2], "direction": "lower"}, "between and direction exclude"),
        ({"right": ["low", "high"]}, "high cannot stand on both sides"),
    ],
)
def test_a_requirement_with_a_key_that_would_not_count_is_refused(need: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        judged([need])


def test_a_family_of_claims_needs_more_of_each() -> None:
    """One difference that shows alone, and is lost among many that do not."""
    groups = {"high": group_of(MOOD, "high", 0.6, 1, 4), "low": group_of(MOOD, "low", 0.545, 11, 4)}
    groups |= {f"low-{number}": groups["low"] for number in range(60)}
    claims = [
        Claim.model_validate(
            {"name": "a", "says": "A.", "needs": [{"left": ["high"], "right": [right], "scores": ["mood"]}]}
        )
        for right in groups
        if right != "high"
    ]
    assert judge(claims[:1], groups, DEV)[0].judgement == "supported"
    assert judge(claims[:60], groups, DEV)[0].judgement == "undecided"


def test_a_difference_that_is_asked_for_again_is_one_test() -> None:
    """In any direction and turned about; of another score, statistic or part it is another."""
    groups = {"high": group_of(MOOD, "high", 0.6, 1, 4), "low": group_of(MOOD, "low", 0.545, 11, 4)}
    asked = {"left": ["high"], "right": ["low"], "scores": ["mood"]}
    again = [asked | {"direction": "equal"}, {"left": ["low"], "right": ["high"], "scores": ["mood"]}]
    again += [asked | {"left": ["high", "high"], "right": ["low", "low"]}]
    others = [asked | {"part": "with negation"}, asked | {"statistic": "mean"}]

    def first_of(needs: Sequence[Mapping[str, Any]]) -> float | None:
        claims = [Claim.model_validate({"name": "a", "says": "A.", "needs": [need]}) for need in needs]
        return judge(claims, groups, DEV)[0].findings[0].smallest_visible

    assert first_of([asked]) == first_of([asked, *again, asked])
    assert (first_of([asked]) or 1) < (first_of([asked, *others]) or 0)


def test_groups_of_the_same_seeds_are_paired() -> None:
    """Of a difference of differences too: what a seed does to all four groups is no part of it."""
    groups: dict[str, list[Result]] = {name: [] for name in ("a", "b", "c", "d")}
    for seed in range(1, 5):
        generator = np.random.default_rng(seed)
        of_seed = generator.random(N) < 0.6 + generator.normal(0, 0.05)
        for name, group in groups.items():
            right = of_seed | (generator.random(N) < (0.02 if name == "a" else 0))
            group.append(result(MOOD, name, seed, np.where(right, MOOD.labels, (MOOD.labels + 1) % 3)))
    need = {"left": ["a", "d"], "right": ["b", "c"]}
    assert judged([need], groups).judgement == "supported"
    apart = groups | {"d": [replace(one, seed=one.seed + 10) for one in groups["d"]]}
    assert judged([need], apart).judgement == "undecided"


def test_that_two_groups_are_equal_can_be_shown() -> None:
    generator = np.random.default_rng(0)
    base = [(MOOD.labels + (generator.random(N) < 0.3)) % 3 for _ in range(3)]
    groups: dict[str, list[Result]] = {"it": [], "other": []}
    for seed, answers in enumerate(base):
        groups["it"].append(result(MOOD, "it", seed, answers))
        groups["other"].append(result(MOOD, "other", seed, np.where(np.arange(N) == seed, 0, answers)))
    need = {"left": ["it"], "right": ["other"]}
    for direction, expected in (("equal", "supported"), ("not higher", "supported"), ("higher", "undecided")):
        assert judged([need | {"direction": direction}], groups).judgement == expected


def test_a_confusion_that_never_happens() -> None:
    right = [result(MOOD, "right", seed, MOOD.labels) for seed in (1, 2, 3)]
    once = MOOD.labels.copy()
    once[np.flatnonzero(MOOD.labels == 0)[0]] = 2
    wrong = [*right[:2], result(MOOD, "wrong", 3, once)]
    two = [one for one in right if one.seed < 3]
    need = {"left": ["it"], "statistic": "cell", "true": "bad", "predicted": "good", "direction": "never"}
    assert judged([need], {"it": right}).judgement == "supported"
    assert judged([need], {"it": two}).judgement == "undecided (seeds)"
    found = judged([need], {"it": wrong})
    assert found.judgement == "contradicted"
    assert found.findings[0].value == pytest.approx(1 / N / 3)
    assert found.findings[0].what.endswith(": it, 1 row at most a seed")
    five = MOOD.labels.copy()
    five[[row for row in range(0, N, 3) if MOOD.labels[row] == 0][:5]] = 2
    of_part = judged([need | {"part": "with negation"}], {"it": [result(MOOD, "wrong", 1, five)]}).findings[0]
    assert of_part.what.endswith("with negation: it, 5 rows a seed"), "the share is that of the part"
    none = judged([need], {"it": right}).findings[0]
    assert none.what.endswith(": it, no row")
    assert none.interval is None, "no draw of rows without it has one"


def turns(changes: Sequence[Mapping[int, float]], order: list[str] | None) -> list[Result]:
    """Results whose accuracy goes up by what each epoch's number says, one result an entry."""
    found = []
    for seed, of_epoch in enumerate(changes, start=1):
        values = np.cumsum([0.3, *(of_epoch[epoch] for epoch in range(len(of_epoch)))])
        one = result(MOOD, "turns", seed, MOOD.labels)
        curve = [Point(epoch, epoch, {"mood": {"accuracy": float(value)}}) for epoch, value in enumerate(values)]
        schedule = one.recipe.schedule.model_copy(
            update={"kind": "round-robin" if order else "simultaneous", "order": order or ["mood"]}
        )
        found.append(replace(one, curve=curve, recipe=one.recipe.model_copy(update={"schedule": schedule})))
    return found


@pytest.mark.parametrize(
    ("changes", "need", "expected"),
    [
        ([{0: 0.2, 1: -0.1, 2: 0.2, 3: 0.0}] * 3, {"trained": False, "direction": "not higher"}, "supported"),
        ([{0: 0.2, 1: -0.1, 2: 0.2, 3: 0.0}] * 3, {"trained": False, "direction": "lower"}, "supported"),
        ([{0: 0.2, 1: -0.1, 2: 0.2, 3: 0.0}] * 3, {"trained": True}, "supported"),
        ([{0: 0.2, 1: 0.1, 2: 0.2, 3: 0.1}] * 3, {"trained": False, "direction": "not higher"}, "contradicted"),
        ([{0: 0.2, 1: s, 2: 0.2, 3: s} for s in (-0.1, 0.1, 0)], {"trained": False, "direction": "lower"}, "undecided"),
        ([{0: 0.2, 1: -0.1, 2: 0.2, 3: 0.0}] * 2, {"trained": True}, "undecided (seeds)"),
    ],
)
def test_a_curve_while_others_train(changes: list[dict[int, float]], need: dict[str, Any], expected: str) -> None:
    groups = {"it": turns(changes, ["mood", "other"])}
    assert judged([{"left": ["it"], "statistic": "curve"} | need], groups).judgement == expected


def test_in_simultaneous_training_every_epoch_trains_every_task() -> None:
    found = judged([{"left": ["it"], "statistic": "curve"}], {"it": turns([{0: 0.1, 1: 0.3, 2: 0.1}] * 3, None)})
    assert found.findings[0].value == pytest.approx(0.2), "what the first epoch taught is not counted"


def test_a_curve_begins_where_the_task_was_first_trained() -> None:
    """A head that has learned nothing falls or rises by chance while others train, and then by much in its first."""
    groups = {"it": turns([{0: -0.2, 1: 0.4, 2: 0.1, 3: -0.1, 4: 0.05}] * 3, ["other", "mood"])}
    for trained, value in ((False, (0.1 + 0.05) / 2), (True, -0.1)):
        need = {"left": ["it"], "statistic": "curve", "trained": trained}
        assert judged([need], groups).findings[0].value == pytest.approx(value)


def test_where_all_epochs_train_all_tasks_there_is_no_other() -> None:
    need = {"left": ["it"], "statistic": "curve", "trained": False}
    with pytest.raises(DataError, match="claim 'claim': every epoch of turns trains every task, so that there is no"):
        judged([need], {"it": turns([{0: 0.1, 1: 0.3}] * 3, None)})


def test_evaluations_amid_epochs_are_no_ends_of_them() -> None:
    (one,) = turns([{0: 0.1, 1: 0.3, 2: 0.1}], None)
    training = one.recipe.training.model_copy(update={"evaluate_every": 7})
    often = replace(one, recipe=one.recipe.model_copy(update={"training": training}))
    found = judged([{"left": ["it"], "statistic": "curve"}], {"it": [often] * 3})
    assert (found.judgement, found.findings[0].value) == ("undecided", None)


def test_the_curve_of_one_seed_has_no_range() -> None:
    (one,) = judged([{"left": ["it"], "statistic": "curve"}], {"it": turns([{0: 0.1, 1: 0.3}], None)}).findings
    assert (one.value, one.interval) == (pytest.approx(0.3), None)
    two = judged([{"left": ["it"], "statistic": "curve"}], {"it": turns([{0: 0.1, 1: 0.3}, {0: 0.1, 1: 0.1}], None)})
    assert two.findings[0].interval == pytest.approx((0.1, 0.3))


def pairs() -> tuple[DevSet, dict[str, list[Result]]]:
    """Pairs of which those with many common words are called the same, whatever they are."""
    generator = np.random.default_rng(0)
    common = generator.integers(0, 5, N)
    texts = [[" ".join("abcde"[: c + 1]) for c in common], ["a b c d e f"] * N]
    task = Task(kind="pair-classification", text=["x", "y"], train="p.csv", dev="p.csv", labels=["0", "1"])
    labels = generator.integers(0, 2, N).astype(np.float64)
    dev = DevSet("same", task.completed(None), Examples([str(i) for i in range(N)], texts, labels))
    answers = [(common + generator.integers(-1, 2, N) > 2).astype(np.float64) for _ in range(3)]
    recipe = load({"name": "it", "tasks": {"same": dev.task.model_dump(exclude_none=True)}})
    made = [
        replace(result(MOOD, "it", seed, labels), recipe=recipe, answers={"same": of_seed}, batches={"same": 1})
        for seed, of_seed in enumerate(answers)
    ]
    return dev, {"it": made}


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        ({"statistic": "gap", "true": "0", "feature": "overlap"}, "supported"),
        ({"statistic": "gap", "true": "1", "feature": "length gap", "direction": "lower"}, "supported"),
        ({"statistic": "gap", "true": "1", "feature": "length gap"}, "contradicted"),
        ({"statistic": "precision-recall"}, "supported"),
    ],
)
def test_errors_with_something_in_common(need: dict[str, Any], expected: str) -> None:
    dev, groups = pairs()
    assert judged([{"left": ["it"], "scores": ["same"]} | need], groups, dev={"same": dev}).judgement == expected


def test_a_curve_counts_epochs_and_not_evaluations() -> None:
    """An epoch of several evaluations changes by what lies between its end and the one before."""
    (plain,) = turns([{0: 0.2, 1: -0.1, 2: 0.2}], ["mood", "other"])
    amid = [Point(0, 1, {"mood": {"accuracy": 0.9}}), Point(1, 2, {"mood": {"accuracy": 0.1}})]
    often = replace(plain, curve=[plain.curve[0], amid[0], plain.curve[1], amid[1], *plain.curve[2:]])
    need = {"left": ["it"], "statistic": "curve", "trained": False}
    for one in (plain, often):
        assert judged([need], {"it": [one] * 3}).findings[0].value == pytest.approx(-0.1)
    skipping = replace(plain, curve=[plain.curve[0], plain.curve[3]])
    found = judged([need], {"it": [skipping] * 3})
    assert (found.judgement, found.findings[0].value) == ("undecided", None)


def test_a_family_does_not_shrink_by_what_is_not_run_and_has_none_that_needs_no_p() -> None:
    """The adjusted p is that of as many tests as were written with a p."""
    groups = {"high": group_of(MOOD, "high", 0.6, 1, 4), "low": group_of(MOOD, "low", 0.545, 11, 4)}
    tested = {"left": ["high"], "right": ["low"], "scores": ["mood"]}
    not_run, without_p = [tested | {"right": [f"gone-{n}"]} for n in range(60)], tested | {"between": [0.0, 1.0]}

    def first_of(*needs: dict[str, Any]) -> str:
        claims = [Claim.model_validate({"name": "a", "says": "A.", "needs": [need]}) for need in needs]
        return judge(claims, groups, DEV)[0].judgement

    assert first_of(tested) == "supported"
    assert first_of(tested, *not_run) == "undecided"
    assert first_of(tested, *[without_p] * 60) == "supported"


@pytest.mark.parametrize(
    ("need", "fault"),
    [
        (
            {"scores": ["moood"]},
            r"claim 'claim': asks for 'moood' \(did you mean 'mood'\?\), and no run has a task of that name",
        ),
        ({"statistic": "cell", "true": "bad", "predicted": "god"}, "task 'mood' has no class 'god' .*'good'.* claim"),
        (
            {"statistic": "gap", "true": "bad", "feature": "overlap"},
            "'gap' of task 'mood', which has 3 classes, not two; correct the claim",
        ),
        ({"statistic": "precision-recall"}, "'precision-recall' of task 'mood', which has 3 classes, not two"),
    ],
)
def test_what_a_claim_asks_for_and_is_not_there_is_named(need: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        judged([need])


def test_a_group_that_did_not_answer_the_task_is_not_run() -> None:
    other = [replace(one, answers={}) for one in GROUPS["low"]]
    assert judged([{"right": ["other"]}], GROUPS | {"other": other}).judgement == "not run"


@pytest.mark.parametrize(
    ("need", "what"),
    [
        ({"statistic": "mean"}, ", mean prediction: high"),
        (
            {"statistic": "cell", "true": "bad", "predicted": "good"},
            ", share of dev with label bad called good: high",
        ),
        (
            {"statistic": "curve", "trained": False, "left": ["turns"]},
            ", mean change an epoch in epochs that train another task: turns",
        ),
        ({"right": ["low"], "part": "with negation"}, ", with negation: high − low"),
    ],
)
def test_a_finding_says_what_was_looked_at(need: dict[str, Any], what: str) -> None:
    groups = GROUPS | {"turns": turns([{0: 0.1, 1: 0.1}], ["mood", "other"])}
    assert judged([need], groups).findings[0].what == f"mood{what}"


def test_classes_are_called_what_the_task_calls_them() -> None:
    dev, groups = pairs()
    task = dev.task.model_copy(update={"labels": ["other", "same"]})
    named = {"same": replace(dev, task=task)}
    needs = [{"left": ["it"], "scores": ["same"], "statistic": "precision-recall"}]
    needs += [{"left": ["it"], "scores": ["same"], "statistic": "gap", "true": "other", "feature": "overlap"}]
    one, other = judged(needs, groups, dev=named).findings
    assert one.what == "same, precision − recall of same: it"
    assert other.what == "same, overlap of rows with label other called same − called other: it"
    single = MOOD.task.model_copy(update={"labels": ["bad", "good"]})
    with pytest.raises(DataError, match="'gap' of task 'mood', whose examples are single texts, so that they have no"):
        judged([{"statistic": "gap", "true": "bad", "feature": "overlap"}], dev={"mood": replace(MOOD, task=single)})


def test_a_mean_prediction() -> None:
    low, high = ([result(MOOD, "it", s, np.full(N, value)) for s in (1, 2, 3)] for value in (0.0, 1.0))
    found = judged([{"left": ["high"], "right": ["low"], "statistic": "mean"}], {"high": high, "low": low})
    assert found.judgement == "supported"
    assert found.findings[0].value == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("title = 'x'\n", "toml: claims is missing; correct it"),
        ("title = 'x'\n[[claims]]\nname = 'a'\nsays = 'b'\n[[claims.needs]]\nleft = ['a']\nscores = ['s']\n"
         "rigth = ['b']", "claim 'a', needs 1: unknown key 'rigth' \\(did you mean 'right'\\?\\)"),
        ("titel = 'x'\nclaims = [3]\n", "title is missing; claim 1: .*; unknown key 'titel' \\(did you mean 'title'"),
        ("title = 'x'\n[[claims]]\nname = 'a'\nsays = 'b'\n[[claims.needs]]\nleft = ['a']\nscores = ['s']\n"
         "statistic = 'cell'", "statistic 'cell' needs true and predicted"),
        ("title = 'x'\n[[claims]]\nname = 'a'\nsays = 'b'\n[[claims.needs]]\nleft = ['a']\nscores = ['sum']\n"
         "statistic = 'mean'", "statistic 'mean' is of one task; \"sum\" has none"),
        ("title = 'x'\n[[claims]]\nsays = 'b'\n[[claims.needs]]\nleft = ['a']\nscores = ['s']\n",
         "toml: claim 1, name is missing;"),
        ("title = 'x'\nclaims = 3\n", "toml: claims: Input should be a valid list"),
        ("title = 'x'\nclaims = [3]\n[[contrasts]]\nleft = 'a'\nright = 'b'\n[[contrasts]]\nleft = 'a'\n",
         "toml: claim 1: .*; contrasts 2, right is missing"),
        ("title = 'x'\nclaims = [3]\n[[contrasts]]\nleft = 'a'\nright = 'a'\n", "a stands on both sides"),
        ("title = ", "cannot be read"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "claims.toml").write_text(text)
    with pytest.raises(DataError, match=fault):
        read_source(tmp_path / "claims.toml")


def test_a_part_that_dev_has_not_is_named() -> None:
    with pytest.raises(
        DataError, match=r"dev of task 'mood' has no part 'with negatoin' \(did you mean 'with negation'"
    ):
        judged([{"right": ["low"], "part": "with negatoin"}])


def test_the_shipped_claims_name_recipes_that_ship() -> None:
    claims = read_source(ROOT / "claims" / "paper.toml").claims
    known = {load(file).name for part in ("paper", "controls") for file in (ROOT / "recipes" / part).glob("[!_]*.toml")}
    named = {name for c in claims for need in c.needs for name in (*need.left, *need.right, *need.each_of)}
    assert named <= known
    assert len({claim.name for claim in claims}) == len(claims) == 24
