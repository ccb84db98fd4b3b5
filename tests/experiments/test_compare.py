"""A planted difference and a planted weakness are found, an A/A pair is none, and what else differs is named."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.planted import N, answered, group_of, mood_set, result
from minbert.data import Examples
from minbert.errors import RunError
from minbert.experiments.compare import compare, differing
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Result
from minbert.experiments.slices import NEGATION, SMALLEST, slices
from minbert.recipes import load
from minbert.tasks import Task

DEV = {"mood": mood_set()}
MOOD = DEV["mood"]
NEGATED = np.array([text.startswith("not ") for text in MOOD.examples.texts[0]])


def test_a_planted_difference_is_found_with_its_size() -> None:
    found = compare(group_of(MOOD, "A", 0.7, 1, 4), group_of(MOOD, "B", 0.6, 11, 4), DEV)
    (line,) = found.scores
    assert (found.left, found.right, line.score, line.metric) == ("A", "B", "mood", "accuracy")
    assert line.difference.value == pytest.approx(line.left - line.right)
    assert line.difference.value == pytest.approx(0.1, abs=0.03)
    assert line.difference.interval is not None
    assert line.difference.interval.low < 0.1 < line.difference.interval.high
    assert line.verdict == "better"
    mirrored = compare(group_of(MOOD, "B", 0.6, 11, 4), group_of(MOOD, "A", 0.7, 1, 4), DEV)
    assert mirrored.scores[0].verdict == "worse"


def test_an_a_a_pair_is_no_difference_anywhere() -> None:
    found = compare(group_of(MOOD, "A", 0.65, 1, 5), group_of(MOOD, "A", 0.65, 1000, 5), DEV)
    assert {line.verdict for line in (*found.scores, *found.slices)} <= {"undecided", "no difference above 0.01"}
    (line,) = found.scores
    assert all(effect and not effect.is_visible for effect in line.seed_effects)
    assert line.sharper is not None
    assert line.difference.standard_error is not None
    assert line.sharper.standard_error is not None
    assert line.sharper.standard_error < line.difference.standard_error
    assert line.churn is not None
    assert line.churn.changed == pytest.approx(line.churn.reseeded, abs=0.03)


def paired(accuracy: float, better: float, seeds: int = 5) -> list[list[Result]]:
    """Groups B and A of the same seeds, whose runs differ in little but that A has a few more right."""
    groups: list[list[Result]] = [[], []]
    for seed in range(1, seeds + 1):
        generator = np.random.default_rng(seed)
        of_seed = accuracy + generator.normal(0, 0.03)  # what the seed does to both
        base = answered(MOOD, of_seed, generator)
        grown = np.where(generator.random(N) < better / (1 - of_seed), MOOD.labels, base)
        for group, name, answers in zip(groups, "BA", (base, grown), strict=True):
            group.append(result(MOOD, name, seed, answers))
    return groups


def test_runs_of_the_same_seeds_are_paired() -> None:
    """So that a difference far below what seeds do to both groups is found, on all of dev and on parts."""
    base, grown = paired(0.6, 0.02)
    found = compare(grown, base, DEV)
    (line,) = found.scores
    assert line.verdict == "better"
    assert line.difference.value == pytest.approx(0.02, abs=0.01)
    assert line.paired_effect is not None
    assert all(effect and line.paired_effect.deviation < effect.deviation / 4 for effect in line.seed_effects)
    assert line.sharper is not None, "what a seed does to both groups is no reason against it"
    assert line.churn is not None
    assert line.churn.changed < 0.03
    assert (line.churn.reseeded or 0) > 0.3
    assert "better" in {part.verdict for part in found.slices}
    apart = compare([replace(one, seed=one.seed + 100) for one in grown], base, DEV)
    assert apart.scores[0].verdict == "undecided"
    assert apart.scores[0].paired_effect is None
    four = compare(grown[:4], base, DEV).scores[0]
    assert (four.difference.seeds, four.same_seeds, four.verdict) == ((4, 4), True, "better"), "one has no partner"
    assert four.right == pytest.approx(np.mean([one.scores["mood"] for one in base[:4]]))
    two = compare([*grown[:2], *(replace(one, seed=one.seed + 100) for one in grown[2:])], base, DEV).scores[0]
    assert (two.difference.seeds, two.same_seeds) == ((5, 5), False), "two pairs are too few to be judged"


def test_a_run_is_not_compared_with_itself() -> None:
    group = group_of(MOOD, "A", 0.6, 1, 3)
    with pytest.raises(RunError, match="A seed 2; A seed 3 would stand on both sides; name other runs on one"):
        compare(group, group[1:], DEV)


def test_a_run_is_known_by_its_folder_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    group = group_of(MOOD, "A", 0.6, 1, 3)
    here = [replace(one, folder=Path(f"A/seed-{one.seed}")) for one in group]
    with pytest.raises(RunError, match="would stand on both sides"):
        compare(here, [replace(one, folder=tmp_path / str(one.folder)) for one in here], DEV)
    elsewhere = [replace(one, folder=Path(f"B/A/seed-{one.seed}")) for one in group]
    assert compare(here, elsewhere, DEV).scores[0].difference.value == 0
    parts = [replace(one, folder=None) for one in group]  # a seed's folds together have no folder of their own
    again = group_of(MOOD, "A", 0.65, 1, 3)
    assert compare(parts, again, DEV).scores[0].same_seeds


def test_a_planted_weakness_is_found_in_its_part_alone() -> None:
    weak = np.where(NEGATED, 0.4, 0.7)
    found = compare(group_of(MOOD, "A", 0.7, 1, 4), group_of(MOOD, "B", weak, 11, 4), DEV)
    verdicts = {(line.kind, line.name): line.verdict for line in found.slices}
    assert verdicts["negation", "with negation"] == "better"
    assert verdicts["negation", "without negation"] in ("undecided", "no difference above 0.01")
    part = next(line for line in found.slices if line.name == "with negation")
    assert part.examples == NEGATED.sum()
    assert part.difference.value == pytest.approx(0.3, abs=0.06)


def test_answers_changed_are_counted_against_those_of_another_seed() -> None:
    generator = np.random.default_rng(0)
    base = answered(MOOD, 0.6, generator)
    better = base.copy()
    wrong = np.flatnonzero(base != MOOD.labels)[:60]
    better[wrong] = MOOD.labels[wrong]
    groups = [
        [result(MOOD, name, seed, answers) for seed in (1, 2, 3)] for name, answers in (("A", better), ("B", base))
    ]
    (line,) = compare(groups[0], groups[1], DEV).scores
    assert line.churn is not None
    assert (line.churn.changed, line.churn.gained, line.churn.lost, line.churn.reseeded) == (60 / N, 60 / N, 0, 0)


def test_two_seeds_are_no_verdict() -> None:
    (line,) = compare(group_of(MOOD, "A", 0.9, 1, 2), group_of(MOOD, "B", 0.4, 11, 5), DEV).scores
    assert line.verdict == "undecided (seeds)"
    assert line.sharper is None
    assert line.difference.value == pytest.approx(0.5, abs=0.05)


def test_what_else_differs_is_named() -> None:
    left = result(MOOD, "A", 1, MOOD.labels)
    right = result(MOOD, "B", 2, MOOD.labels, optimizer={"lr": 1e-3, "head_lr": 5e-4})
    assert differing([left], [right]) == ["optimizer.lr: 0.0001 and 0.001", "seconds a run: 10 and 10"]
    rough = replace(right, recipe=left.recipe, seconds=1929.3)
    assert differing([left], [rough]) == ["seconds a run: 10 and 1,900"], "machines are no exacter than that"
    short = [[replace(left, seconds=seconds)] for seconds in (0.423, 1.36)]
    assert differing(*short) == ["seconds a run: 0.42 and 1.4"]
    longer = replace(right, updates=300, batches={"mood": 300}, seconds=30.0, about={"processor": "another"})
    longer = replace(longer, data={"mood": {"train": "1", "dev": "0"}})
    assert differing([left], [longer])[1:] == [
        "batches of mood: 100 and 300",
        "updates: 100 and 300",
        "seconds a run: 10 and 30",
        "rows of mood: other files for train",
        "processor: a processor and another",
    ]


def test_groups_without_a_common_task_are_refused() -> None:
    one = result(MOOD, "A", 1, MOOD.labels)
    with pytest.raises(RunError, match="A and B have no task in common that was scored on dev"):
        compare([one], [replace(one, group="B", answers={})], DEV)


def test_parts_cover_dev_and_small_ones_are_left_out() -> None:
    parts = slices(MOOD)
    by = {
        kind: sum(part.members.sum() for part in parts if part.kind == kind) for kind in ("length", "label", "negation")
    }
    assert by == {"length": N, "label": N, "negation": N}
    assert [part.name for part in parts if part.kind == "label"] == ["bad", "fair", "good"]
    assert not any(part.kind in ("numbers", "overlap") for part in parts), "no text has a number, and none is a pair"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 5), (-1, 1), (0, 5)])
def test_a_score_lies_in_the_fifth_that_it_opens(low: float, high: float) -> None:
    """Also where a fifth's end is no number of binary digits, as 0.6 of 0 to 1."""
    task = Task(kind="pair-regression", text=["x", "y"], train="n.csv", dev="n.csv", range=(low, high)).completed(None)
    ends = [round(low + (high - low) * part / 5, 1) for part in range(6)]
    labels = np.array([*ends[:5] * SMALLEST, high])
    dev = DevSet("near", task, Examples(["0"] * len(labels), [["a"] * len(labels)] * 2, labels))
    parts = [part for part in slices(dev) if part.kind == "label"]
    assert [sorted(set(labels[part.members])) for part in parts] == [*([end] for end in ends[:4]), ends[4:]]
    assert [part.name for part in parts] == [f"{a:g} to {b:g}" for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("text", ["It is not good", "ca n't lift", "I can’t", "DONT go", "nor this", "Nobody came"])
def test_a_negation(text: str) -> None:
    assert NEGATION.search(text)


@pytest.mark.parametrize(
    "text", ["I want it", "ten percent", "a different president", "entertainment", "notes on Norway"]
)
def test_no_negation(text: str) -> None:
    assert not NEGATION.search(text)


def test_where_no_run_has_a_score_nothing_is_said_of_it() -> None:
    """Models that answer everything alike have no correlation, on all of dev and on each part of it."""
    dev = score_set()
    one, other = (
        [replace(of_scores(dev, group, seed), answers={"near": np.full(len(dev), value)}) for seed in (1, 2, 3)]
        for group, value in (("A", 1.0), ("B", 2.0))
    )
    found = compare(one, other, {"near": dev})
    (line,) = found.scores
    assert (line.left, line.right, line.difference.value, line.verdict) == (None, None, None, "undefined")
    assert {part.verdict for part in found.slices} == {"undefined"}


def test_a_part_whose_labels_are_one_value_has_no_correlation_to_compare() -> None:
    dev = score_set()
    groups = [[of_scores(dev, name, seed) for seed in (1, 2, 3)] for name in ("A", "B")]
    kinds = [(part.kind, part.name) for part in compare(*groups, {"near": dev}).slices]
    assert ("label", "2 to 3") in kinds
    assert ("label", "4 to 5") not in kinds, "all of them are 5"


def score_set() -> DevSet:
    """Pairs with scores, of which the highest fifth are all 5."""
    task = Task(kind="pair-regression", text=["x", "y"], train="n.csv", dev="n.csv", range=(0, 5))
    labels = np.linspace(0, 5, 200)
    labels[labels >= 4] = 5
    texts = [[f"text {'not' * (i % 2)} {i}" for i in range(200)], ["a text"] * 200]
    return DevSet("near", task.completed(None), Examples([str(i) for i in range(200)], texts, labels))


def of_scores(dev: DevSet, group: str, seed: int) -> Result:
    noise = np.random.default_rng([seed, ord(group[0])]).normal(size=len(dev))
    recipe = load({"name": group, "tasks": {"near": dev.task.model_dump(exclude_none=True)}})
    made = result(MOOD, group, seed, MOOD.labels)
    return replace(made, recipe=recipe, answers={"near": dev.labels + noise}, batches={"near": 1})


def test_few_seeds_do_not_show_that_they_have_no_effect() -> None:
    offered = {}
    for seeds in (4, 5):
        groups = [group_of(MOOD, name, 0.65, first, seeds) for name, first in (("A", 1), ("B", 1000))]
        offered[seeds] = compare(*groups, DEV).scores[0].sharper is not None
    assert offered == {4: False, 5: True}
