"""The data set that ships: written for this project, balanced, varied, and not solvable by counting words."""

import re
import statistics
from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from minbert.data import Examples
from minbert.recipes import STARTER, load
from minbert.splits import read_splits

NAMES = ("sst", "para", "sts")


@pytest.fixture(scope="module")
def splits() -> dict[str, dict[str, Examples]]:
    tasks = load({"tasks": {name: {} for name in NAMES}}).tasks
    return {n: {split: r.examples for split, r in read_splits(task)[1].items()} for n, task in tasks.items()}


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def texts_of(splits: dict[str, dict[str, Examples]], name: str) -> list[tuple[str, str]]:
    """(id, text) of every text of a task; the two of a pair share their id."""
    return [
        (example, text)
        for examples in splits[name].values()
        for column in examples.texts
        for example, text in zip(examples.ids, column, strict=True)
    ]


def test_the_files_are_in_the_course_layout() -> None:
    assert sorted(file.name for file in STARTER.glob("*.csv")) == sorted(
        f"{prefix}-{split}.csv" for prefix in ("ids-sst", "quora", "sts") for split in ("train", "dev")
    )
    for file in STARTER.glob("*.csv"):
        header, first = file.read_text(encoding="utf-8").splitlines()[:2]
        assert header.startswith("\tid\tsentence")
        assert re.match(r"\d+\t[0-9a-f]{25}\t", first)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_about_two_hundred_examples_a_task_and_balanced(
    splits: dict[str, dict[str, Examples]], name: str
) -> None:
    assert 190 <= sum(len(examples) for examples in splits[name].values()) <= 230
    for examples in splits[name].values():
        assert examples.labels is not None
        grades = Counter(np.floor(examples.labels + 0.5).tolist())
        assert max(grades.values()) <= 1.6 * min(grades.values())
        assert len(grades) == {"sst": 5, "para": 2, "sts": 6}[name]


@pytest.mark.parametrize("name", NAMES)
def test_no_text_stands_twice_in_a_split_or_in_two(splits: dict[str, dict[str, Examples]], name: str) -> None:
    folded = [" ".join(words(text)) for _, text in texts_of(splits, name)]
    assert not [text for text, count in Counter(folded).items() if count > 1]
    ids = [example for examples in splits[name].values() for example in examples.ids]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_texts_that_are_not_a_pair_share_five_words_in_a_row(
    splits: dict[str, dict[str, Examples]], name: str
) -> None:
    owners = defaultdict(set)
    for example, text in texts_of(splits, name):
        tokens = words(text)
        for start in range(len(tokens) - 4):
            owners[tuple(tokens[start : start + 5])].add(example)
    assert not {gram: ids for gram, ids in owners.items() if len(ids) > 1}


def test_its_english_is_varied(splits: dict[str, dict[str, Examples]]) -> None:
    texts = [text for name in NAMES for _, text in texts_of(splits, name)]
    assert len({word for text in texts for word in words(text)}) >= 1200
    for name in NAMES:
        assert statistics.median(len(words(text)) for _, text in texts_of(splits, name)) >= 8


@pytest.mark.parametrize("name", ["sst", "para"])
def test_a_bag_of_words_does_not_solve_it(splits: dict[str, dict[str, Examples]], name: str) -> None:
    train, dev = splits[name]["train"], splits[name]["dev"]
    counter = CountVectorizer().fit([text for column in train.texts for text in column])

    def features(examples: Examples) -> np.ndarray:
        bags = [counter.transform(column).toarray() for column in examples.texts]
        if len(bags) == 1:
            return bags[0]
        first, second = bags
        both = np.minimum(first, second).sum(1) / np.maximum(1, np.maximum(first, second).sum(1))
        return np.column_stack([first, second, np.abs(first - second), both])

    classifier = LogisticRegression(max_iter=2000).fit(features(train), train.labels)
    assert classifier.score(features(dev), dev.labels) < 0.9
