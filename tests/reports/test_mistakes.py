"""Where a group errs, against scikit-learn, scipy and literal counting; planted weaknesses are found, no others are."""

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from statistics import fmean

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support

from experiments.planted import result
from minbert.data import Examples
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Result
from minbert.experiments.slices import NEGATION, words
from minbert.metrics import Interval
from minbert.predictions import Predictions
from minbert.reports.mistakes import MOST, Call, ClassMistakes, Row, ScoreMistakes, mistakes
from minbert.reports.mistakes_text import section
from minbert.reports.traits import Clarity, Feature, Measure, Side, Trait, sentence
from minbert.tasks import Task

Array = NDArray[np.float64]
SIZE = 320
SAME: dict[str, object] = {"kind": "pair-classification", "labels": ["different", "same"]}
SCORED: dict[str, object] = {"kind": "pair-regression", "range": [0.0, 5.0]}
WORDS = np.array(["film", "plot", "actor", "scene", "music", "story", "camera", "joke", "hero", "song"])


def dev_set(name: str, texts: list[list[str]], labels: Array, /, **about: object) -> DevSet:
    columns = ["a", "b"][: len(texts)]
    task = Task.model_validate({"text": columns if len(columns) > 1 else "a", "train": "x.csv", "dev": "x.csv"} | about)
    ids = [f"id-{place}" for place in range(len(labels))]
    return DevSet(name, task.completed(None), Examples(ids, texts, labels))


def texts_of(generator: np.random.Generator) -> list[str]:
    """Texts of 2 to 20 words, of which a third hold a negation and, whether they do or not, two in five a number."""
    plain = [" ".join(generator.choice(WORDS, generator.integers(2, 20))) for _ in range(SIZE)]
    return [f"{'not ' * (place % 3 == 0)}{text}{' 7' * (place % 5 < 2)}" for place, text in enumerate(plain)]


def single(K: int, seed: int = 0) -> DevSet:
    """K grades of texts."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, SIZE).astype(float)
    names = [str(grade) for grade in range(K)]
    return dev_set("grade", [texts_of(generator)], labels, kind="classification", labels=names)


def pairs(seed: int = 0, **about: object) -> DevSet:
    """Pairs with different shares of words in common, whatever their label."""
    generator = np.random.default_rng(seed)
    left = texts_of(generator)
    right = [" ".join([*text.split()[: generator.integers(0, 20)], *generator.choice(WORDS, 2)]) for text in left]
    kind, labels = SAME, generator.integers(0, 2, SIZE).astype(float)
    if about:
        kind, labels = about, generator.uniform(0, 4, SIZE).round(1)  # no label in the highest fifth
    return dev_set("pair", [left, right], labels, **kind)


def shared(dev: DevSet) -> Array:
    """The share of words in common, pair by pair."""
    sets = [[set(words(text)) for text in pair] for pair in zip(*dev.examples.texts, strict=True)]
    return np.array([len(one & other) / len(one | other) for one, other in sets])


def negated(dev: DevSet) -> NDArray[np.bool_]:
    return np.array([any(NEGATION.search(text) for text in row) for row in zip(*dev.examples.texts, strict=True)])


def wrong_where(dev: DevSet, chance: Array, seeds: int, first: int = 1) -> list[Result]:
    """Results whose answers are another class with such a chance [n], each seed on its own."""
    found, K = [], len(dev.task.labels or ())
    for seed in range(first, first + seeds):
        generator = np.random.default_rng(seed)
        other = (dev.labels + generator.integers(1, K, SIZE)) % K
        found.append(result(dev, "it", seed, np.where(generator.random(SIZE) < chance, other, dev.labels)))
    return found


def scored(dev: DevSet, bias: Array, deviation: Array, seeds: int) -> list[Result]:
    """Results whose scores lie around the labels, by a bias [n] and a deviation [n]."""
    return [
        result(dev, "it", seed, dev.labels + bias + deviation * np.random.default_rng(seed).normal(size=SIZE))
        for seed in range(1, 1 + seeds)
    ]


def classes_of(group: list[Result], dev: DevSet, predictions: dict[int, Predictions] | None = None) -> ClassMistakes:
    found = mistakes(group, dev, predictions)
    assert isinstance(found, ClassMistakes)
    return found


@cache
def of_grades(K: int, seeds: int) -> tuple[DevSet, list[Result], ClassMistakes]:
    """Texts with a negation are mostly graded wrong."""
    dev = single(K)
    group = wrong_where(dev, np.where(negated(dev), 0.6, 0.25), seeds)
    return dev, group, classes_of(group, dev)


@cache
def of_pairs(seeds: int) -> tuple[DevSet, list[Result], ClassMistakes]:
    """Pairs that are not the same are called so by their words in common; the others are called at random."""
    dev = pairs()
    group = wrong_where(dev, np.where(dev.labels == 1, 0.3, 0.1 + 0.6 * shared(dev)), seeds)
    return dev, group, classes_of(group, dev)


@cache
def of_scores(seeds: int) -> tuple[DevSet, list[Result], ScoreMistakes]:
    """Common words raise a score, and negations make it worse."""
    dev = pairs(**SCORED)
    group = scored(dev, 1.5 * (shared(dev) - 0.4), np.where(negated(dev), 1.2, 0.6), seeds)
    found = mistakes(group, dev)
    assert isinstance(found, ScoreMistakes)
    return dev, group, found


def trait_of(found: ClassMistakes | ScoreMistakes, feature: str, measure: str, label: str | None = None) -> Trait:
    (one,) = (one for one in found.traits.found if (one.feature, one.measure, one.label) == (feature, measure, label))
    return one


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(
    "make", [lambda s: of_grades(5, s), lambda s: of_grades(2, s), of_pairs], ids=["5", "2", "pairs"]
)
def test_scores_of_classes_are_those_of_scikit_learn(
    make: Callable[[int], tuple[DevSet, list[Result], ClassMistakes]], seeds: int
) -> None:
    dev, group, found = make(seeds)
    names = dev.task.labels or []
    of_seeds = [
        precision_recall_fscore_support(dev.labels, one.answers[dev.name], labels=range(len(names)), zero_division=0)
        for one in group
    ]
    expected = np.mean([scores[:3] for scores in of_seeds], axis=0)  # [3, K]
    estimates = [[line.precision, line.recall, line.f1] for line in found.classes]
    np.testing.assert_allclose([[one.value for one in line] for line in estimates], expected.T, rtol=0, atol=1e-12)
    assert [line.name for line in found.classes] == names
    assert [line.support for line in found.classes] == of_seeds[0][3].tolist()
    called = [fmean((one.answers[dev.name] == place).sum() for one in group) for place in range(len(names))]
    assert [line.called for line in found.classes] == pytest.approx(called)
    for estimate in (one for line in estimates for one in line):
        assert (estimate.interval is None) == (seeds < 3)
        if estimate.interval is not None:
            assert estimate.interval.low < estimate.value < estimate.interval.high


@pytest.mark.parametrize("K", [2, 5])
def test_confusions_are_counted(K: int) -> None:
    dev, group, found = of_grades(K, 3)
    counted: Counter[tuple[int, int]] = Counter()
    for one in group:
        for label, answer in zip(dev.labels, one.answers["grade"], strict=True):
            counted[int(label), int(answer)] += 1
    of_class = Counter(dev.labels.astype(int).tolist())
    wrong = {cell: count / 3 for cell, count in counted.items() if cell[0] != cell[1]}
    assert [one.count for one in found.confusions] == pytest.approx(sorted(wrong.values(), reverse=True)[:MOST])
    for one in found.confusions:
        cell = int(one.true), int(one.called)
        assert one.count == pytest.approx(wrong[cell])
        assert one.share == pytest.approx(wrong[cell] / of_class[cell[0]])
    assert found.always_wrong == sum(all(r.answers["grade"][i] != dev.labels[i] for r in group) for i in range(SIZE))


def test_a_perfect_group_has_no_mistakes() -> None:
    dev = single(3)
    found = classes_of([result(dev, "it", seed, dev.labels) for seed in (1, 2, 3)], dev)
    assert [line.f1.value for line in found.classes] == [1, 1, 1]
    assert (found.confusions, found.always_wrong, found.most_wrong) == ([], 0, [])
    assert found.traits.too_few == ["length"]
    assert sentence(trait_of(found, "negation", "accuracy")) == (
        "With a negation (107 rows) the accuracy is 1.00, without one (213 rows) 1.00: "
        "0.00 (95 % interval 0.00 to 0.00); there is no difference."
    )


def test_what_is_undefined_has_no_value_and_what_is_rare_no_interval() -> None:
    """Of four classes one is never called, one never true, and one in five rows."""
    dev = single(2)
    labels = np.r_[np.full(5, 2.0), dev.labels[5:]]
    dev = dev_set("grade", dev.examples.texts, labels, kind="classification", labels=["a", "b", "c", "d"])
    answers = np.where(labels == 0, 1.0, labels)
    answers[-1] = 3
    never_called, called, rare, never_true = classes_of([result(dev, "it", s, answers) for s in (1, 2, 3)], dev).classes
    assert never_called.precision.value is None
    assert (never_called.recall.value, never_called.f1.value) == (0, 0)
    assert called.precision.interval is not None
    assert (rare.support, rare.recall.value, rare.recall.interval, rare.precision.interval) == (5, 1, None, None)
    assert never_true.recall.value is None
    assert (never_true.precision.value, never_true.f1.value) == (0, 0)


def test_a_trait_of_answers_is_that_of_a_literal_mean() -> None:
    dev, group, found = of_pairs(3)
    one = trait_of(found, "overlap", "feature", "different")
    wrong, right, counts = [], [], []
    for of_seed in group:
        is_wrong = of_seed.answers["pair"] != dev.labels
        wrong.append(shared(dev)[is_wrong & (dev.labels == 0)].mean())
        right.append(shared(dev)[~is_wrong & (dev.labels == 0)].mean())
        counts.append(((is_wrong & (dev.labels == 0)).sum(), (~is_wrong & (dev.labels == 0)).sum()))
    assert (one.left.value, one.right.value) == pytest.approx((fmean(wrong), fmean(right)))
    assert (one.left.count, one.right.count) == pytest.approx(tuple(np.mean(counts, axis=0)))
    assert one.difference == pytest.approx(one.left.value - one.right.value)


def test_a_trait_of_rows_is_that_of_a_literal_mean() -> None:
    dev, group, found = of_grades(5, 3)
    one, has = trait_of(found, "negation", "accuracy"), negated(dev)
    right = np.mean([of_seed.answers["grade"] == dev.labels for of_seed in group], axis=0)
    assert (one.left.value, one.right.value) == pytest.approx((right[has].mean(), right[~has].mean()))
    assert (one.left.count, one.right.count) == (has.sum(), (~has).sum())
    assert one.difference == pytest.approx(one.left.value - one.right.value)


def is_clear(found: ClassMistakes | ScoreMistakes) -> list[tuple[str, str, str | None]]:
    return [(one.feature, one.measure, one.label) for one in found.traits.found if one.clarity == "clear"]


def test_planted_weaknesses_are_clear_and_nothing_else_is() -> None:
    grades, same, scores = of_grades(5, 3)[2], of_pairs(3)[2], of_scores(3)[2]
    assert is_clear(grades) == [("negation", "accuracy", None)]
    assert is_clear(same) == [("overlap", "feature", "different")]
    assert is_clear(scores) == [("overlap", "bias", None), ("negation", "absolute error", None)]
    assert (len(grades.traits.found), len(same.traits.found)) == (3, 7)
    lower, more, bias, error = (
        trait_of(grades, "negation", "accuracy"),
        trait_of(same, "overlap", "feature", "different"),
        trait_of(scores, "overlap", "bias"),
        trait_of(scores, "negation", "absolute error"),
    )
    assert lower.difference == pytest.approx(-0.35, abs=0.08)
    assert min(more.difference, bias.difference, error.difference) > 0.05
    for one in (lower, more, bias, error):
        assert one.interval is not None
        assert (one.interval.low > 0) == (one.interval.high > 0) == (one.difference > 0)


@pytest.mark.parametrize("is_shared", [False, True], ids=["each seed its own", "all seeds the same"])
def test_random_errors_have_nothing_in_common(is_shared: bool) -> None:
    for seed in range(2):
        dev = pairs(seed)
        hard = np.random.default_rng(100 + seed).random(SIZE)
        chance = np.where(hard < 0.3, 0.95, 0.05) if is_shared else np.full(SIZE, 0.3)
        assert is_clear(classes_of(wrong_where(dev, chance, 3, first=10 * seed), dev)) == []


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_tell_no_more_than_the_numbers(seeds: int) -> None:
    for found in (of_grades(5, seeds)[2], of_pairs(seeds)[2], of_scores(seeds)[2]):
        assert found.seeds == seeds
        assert found.traits.found
        for one in found.traits.found:
            assert (one.interval, one.adjusted_p, one.clarity) == (None, None, "too few seeds to tell")
            assert sentence(one).endswith(", but there are too few seeds to tell.")
            assert "interval" not in sentence(one)
    assert all(line.bias.interval is None for line in of_scores(seeds)[2].parts)


def trait(
    feature: Feature,
    measure: Measure,
    left: Side,
    right: Side,
    ends: tuple[float, float] | None,
    p: float | None = 0.01,
) -> Trait:
    is_number = feature in ("overlap", "length", "length gap")
    return Trait(
        feature=feature,
        measure=measure,
        label="0" if measure == "feature" and feature != "length" else None,
        threshold=0.4 if is_number and measure != "feature" else None,
        decimals=1 if "length" in feature and measure == "feature" else 2,
        left=left,
        right=right,
        difference=left.value - right.value,
        interval=Interval(*ends) if ends else None,
        adjusted_p=p,
    )


@pytest.mark.parametrize(
    ("one", "expected", "clarity"),
    [
        (
            trait("overlap", "feature", Side(0.41, 214.7), Side(0.27, 1056.3), (0.1, 0.18)),
            "Of pairs labelled 0, those answered wrong share 0.41 of their words, those answered right 0.27: +0.14 "
            "(95 % interval 0.10 to 0.18), from 215 wrong and 1,056 right answers a seed; the wrong ones share more, "
            "and that is clear.",
            "clear",
        ),
        (
            trait("length gap", "feature", Side(2, 30), Side(3.04, 40), (-2.5, 0.1), 0.2),
            "Of pairs labelled 0, those answered wrong are 2.0 words apart in length, those answered right 3.0: −1.0 "
            "(95 % interval −2.5 to 0.1), from 30 wrong and 40 right answers a seed; the wrong ones are closer, "
            "but that is not clear.",
            "not clear",
        ),
        (
            trait("length", "feature", Side(21, 30), Side(19, 40), None, None),
            "Rows answered wrong have 21.0 words, those answered right 19.0: +2.0, from 30 wrong and 40 right answers "
            "a seed; the wrong ones have more, but there are too few seeds to tell.",
            "too few seeds to tell",
        ),
        (
            trait("negation", "accuracy", Side(0.43, 212), Side(0.5, 889), (-0.12, -0.02)),
            "With a negation (212 rows) the accuracy is 0.43, without one (889 rows) 0.50: −0.07 (95 % interval −0.12 "
            "to −0.02); it is lower with one, and that is clear.",
            "clear",
        ),
        (
            trait("numbers", "absolute error", Side(0.7, 212), Side(0.6, 1889), (-0.001, 0.2), 0.05),
            "With a number (212 rows) the absolute error is 0.70, without one (1,889 rows) 0.60: +0.10 (95 % interval "
            "0.00 to 0.20); it is larger with one, but that is not clear.",
            "not clear",
        ),
        (
            trait("numbers", "accuracy", Side(0.601, 212), Side(0.604, 1889), (-0.04, 0.03), 0.9),
            "With a number (212 rows) the accuracy is 0.60, without one (1,889 rows) 0.60: 0.00 (95 % interval −0.04 "
            "to 0.03); it is slightly lower with one, but that is not clear.",
            "not clear",
        ),
        (
            trait("overlap", "bias", Side(0.3, 400), Side(-0.1, 380), (0.3, 0.5)),
            "With over 0.4 of the words shared (400 rows) the bias is +0.30, with up to 0.4 (380 rows) −0.10: +0.40 "
            "(95 % interval 0.30 to 0.50); it is higher above that, and that is clear.",
            "clear",
        ),
        (
            trait("length gap", "absolute error", Side(0.3, 400), Side(0.4, 380), (-0.3, -0.1)),
            "With texts over 0.4 words apart in length (400 rows) the absolute error is 0.30, with up to 0.4 (380 "
            "rows) 0.40: −0.10 (95 % interval −0.30 to −0.10); it is smaller above that, and that is clear.",
            "clear",
        ),
    ],
)
def test_a_sentence_says_which_way_it_goes_and_whether_it_is_clear(one: Trait, expected: str, clarity: Clarity) -> None:
    assert sentence(one) == expected
    assert one.clarity == clarity


def test_what_too_few_rows_have_is_not_looked_at() -> None:
    left, right = pairs().examples.texts
    left = left[:40] + [text.replace("7", "") for text in left[40:]]  # a number in 16 rows
    dev = dev_set("pair", [left, [text.replace("7", "") for text in right]], pairs().labels, **SAME)
    found = classes_of(wrong_where(dev, np.where(dev.labels == 0, 0.01, 0.3), 1), dev)
    assert found.traits.too_few == [
        "overlap where the label is different",
        "length gap where the label is different",
        "accuracy by numbers",
    ]


def test_names_of_classes_are_no_markdown() -> None:
    """They are the data's, and a page that shows the report may load what an image names."""
    hostile = ["![x](https://example.org/p.png)", "<b>*a*</b>"]
    left, right = pairs().examples.texts
    dev = dev_set("pair", [left, right], pairs().labels, **(SAME | {"labels": hostile}))
    group = wrong_where(dev, np.where(dev.labels == 0, 0.3, 0.01), 3)
    lines = [line for line in section(group, dev, with_text=True).splitlines() if line.startswith("- ")]
    assert any(line.startswith("- Of pairs labelled") for line in lines)
    assert any(line.startswith("- Too few rows") for line in lines)
    assert not [line for line in lines if re.search(r"(?<!\\)[*<\[!]", line)]


def test_scores_of_a_regression_are_those_of_the_definition() -> None:
    dev, group, found = of_scores(3)
    answers = np.stack([one.answers["pair"] for one in group])
    fifth = np.minimum(dev.labels // 1, 4)
    parts = {"all": dev.labels >= 0} | {f"{i} to {i + 1}": fifth == i for i in range(5)}
    assert [line.name for line in found.parts] == list(parts)
    for line, members in zip(found.parts, parts.values(), strict=True):
        assert line.rows == members.sum()
        if line.rows < 20:
            assert line.name == "4 to 5"
            continue
        for estimate, expected in (
            (line.pearson, fmean(stats.pearsonr(row[members], dev.labels[members]).statistic for row in answers)),
            (line.absolute_error, np.abs(answers - dev.labels)[:, members].mean()),
            (line.bias, (answers - dev.labels)[:, members].mean()),
        ):
            assert estimate.value == pytest.approx(expected)
            assert estimate.interval is not None
            assert estimate.interval.low < estimate.value < estimate.interval.high


def test_a_part_without_rows_has_no_scores() -> None:
    dev = dev_set("pair", pairs().examples.texts, np.linspace(0, 3.9, SIZE), **SCORED)
    found = mistakes(scored(dev, np.zeros(SIZE), np.ones(SIZE), 3), dev)
    assert isinstance(found, ScoreMistakes)
    empty = found.parts[-1]
    assert (empty.name, empty.rows) == ("4 to 5", 0)
    assert {(one.value, one.interval) for one in (empty.pearson, empty.absolute_error, empty.bias)} == {(None, None)}


def test_the_bias_by_overlap_is_split_at_the_threshold_that_is_printed() -> None:
    dev, group, found = of_scores(3)
    one = trait_of(found, "overlap", "bias")
    assert one.threshold is not None
    assert one.threshold == round(one.threshold, 2) == pytest.approx(np.median(shared(dev)), abs=0.005)
    bias, above = np.mean([r.answers["pair"] - dev.labels for r in group], axis=0), shared(dev) > one.threshold
    assert (one.left.value, one.right.value) == pytest.approx((bias[above].mean(), bias[~above].mean()))
    assert one.left.count == above.sum()


def test_errors_of_a_narrow_range_are_told_with_more_digits() -> None:
    dev = dev_set("pair", pairs().examples.texts, np.linspace(0, 1, SIZE), **SCORED | {"range": [0.0, 1.0]})
    found = mistakes(scored(dev, np.zeros(SIZE), np.full(SIZE, 0.1), 1), dev)
    assert {one.decimals for one in found.traits.found} == {3}


def test_the_most_wrong_scores_lie_farthest_from_their_labels() -> None:
    dev, group, found = of_scores(3)
    answers = np.stack([one.answers["pair"] for one in group])
    by_distance = sorted(range(SIZE), key=lambda i: -abs(answers[:, i].mean() - dev.labels[i]))
    assert [one.row.place for one in found.most_wrong] == [i + 1 for i in by_distance[:MOST]]
    one, i = found.most_wrong[0], by_distance[0]
    assert one.row == Row(i + 1, f"id-{i}", (dev.examples.texts[0][i], dev.examples.texts[1][i]))
    assert (one.label, one.mean) == (dev.labels[i], pytest.approx(answers[:, i].mean()))
    assert (one.lowest, one.highest) == (answers[:, i].min(), answers[:, i].max())


def few_rows(names: list[str], labels: list[float], answers: list[list[float]]) -> ClassMistakes:
    """Mistakes on a dev set of a few rows; answers are one list a seed."""
    dev = dev_set("few", [["a"] * len(labels)], np.array(labels), kind="classification", labels=names)
    return classes_of([result(dev, "it", seed, np.array(of_seed)) for seed, of_seed in enumerate(answers)], dev)


def test_far_classes_come_first_among_what_most_seeds_get_wrong() -> None:
    """Row 3 is wrong in half of the seeds alone, row 5 in none."""
    answers = [[1, 4, 0, 3, 4], [1, 4, 0, 4, 4], [1, 2, 4, 4, 4], [1, 0, 4, 2, 4]]
    found = few_rows(["0", "1", "2", "3", "4"], [0, 0, 0, 0, 4], answers).most_wrong
    assert [(one.row.place, one.distance, one.share_wrong) for one in found] == [
        (4, 3.25, 1),
        (2, 2.5, 0.75),
        (1, 1, 1),
    ]
    assert found[0].calls == [Call("4", 2), Call("2", 1), Call("3", 1)]
    assert (found[0].label, found[0].row.id, found[0].row.texts) == ("0", "id-3", ("a",))


@pytest.mark.parametrize("names", [["bad", "fair", "good", "4", "5"], ["0", "1"]])
def test_classes_without_distances_are_told_by_the_share_of_seeds(names: list[str]) -> None:
    last = float(len(names) - 1)
    answers = [[0, last, 1, 1], [last, last, 1, 1], [last, 0, 1, 1]]
    found = few_rows(names, [0, 0, 0, 1], answers).most_wrong
    assert [(one.row.place, one.distance) for one in found] == [(3, None), (1, None), (2, None)]


def test_rows_that_are_as_wrong_as_the_last_are_counted() -> None:
    found = few_rows(["0", "1"], [0] * 30, [[1.0] * 25 + [0.0] * 5] * 3)
    assert (len(found.most_wrong), found.as_wrong, found.always_wrong) == (MOST, 25, 25)
    graded = few_rows(["0", "1", "2"], [0] * 4, [[2, 1, 1, 0]] * 3)
    assert ([one.row.place for one in graded.most_wrong], graded.as_wrong) == ([1, 2, 3], 2)


def test_confident_errors_are_the_surest_of_any_seed() -> None:
    dev, group, without = of_grades(5, 1)
    assert without.confident is None
    generator = np.random.default_rng(0)
    predictions, literal = {}, {}
    for seed in (4, 7):
        probabilities = generator.dirichlet(np.ones(5), SIZE)
        predictions[seed] = Predictions(dev.examples.ids, probabilities.argmax(1).astype(float), probabilities)
        for i in range(SIZE):
            called = int(probabilities[i].argmax())
            if called != dev.labels[i] and probabilities[i, called] > literal.get(i, (0,))[0]:
                literal[i] = probabilities[i, called], str(called), seed
    found = classes_of(group, dev, predictions).confident
    assert found is not None
    expected = sorted(literal.items(), key=lambda error: -error[1][0])[:MOST]
    assert [(one.row.place - 1, (one.probability, one.called, one.seed)) for one in found] == expected
    assert [one.label for one in found] == [str(int(dev.labels[one.row.place - 1])) for one in found]
    assert {one.seed for one in found} == {4, 7}


def test_what_is_right_is_no_confident_error() -> None:
    dev = single(2)
    certain = np.eye(2)[dev.labels.astype(int)]
    certain[:2] = certain[:2, ::-1]
    predictions = {1: Predictions(dev.examples.ids, certain.argmax(1).astype(float), certain)}
    found = classes_of([result(dev, "it", 1, dev.labels)], dev, predictions).confident
    assert [(one.row.place, one.probability) for one in found or []] == [(1, 1.0), (2, 1.0)]
