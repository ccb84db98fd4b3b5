"""Duplicates and similar texts, against every pair of texts asked one by one."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from minbert.errors import InputError, ModelError
from minbert.inference import judging, search
from minbert.inference.judging import PairHead, measure, pair_head, threshold_of
from minbert.inference.search import Pair, duplicates, similar
from minbert.model import MultitaskModel
from minbert.tasks import Task
from test_model import PAIR, PARA, SST, STS, build

TEXTS = [
    *(
        "the cat sat .",
        "a very good film , was not dull ?",
        "dog",
        "The  CAT sat .",
        " ",
        "a bad film",
        "the quiet dog sat",
    ),
    *("not very good", "a very good film , was not bad ?", "the cat\tsat .", "", "good cat", "quiet quiet quiet"),
]
SAME = {(0, 3), (0, 9)}
DISTINCT = [place for place in range(len(TEXTS)) if place not in (3, 4, 9, 10)]
NLI = Task(kind="pair-classification", labels=["contradiction", "entailment", "neutral"], pooling="cls", **PAIR)
TASKS = {
    "para": PARA,
    "concat": PARA.model_copy(update={"head": "concat", "pooling": "cls-raw"}),
    "sts": STS,
    "near": STS.model_copy(update={"head": "concat"}),
    "nli": NLI.completed(None),
}


@pytest.fixture
def model(tiny_encoder: Path) -> MultitaskModel:
    return build(tiny_encoder, TASKS)


def asked_alone(model: MultitaskModel, head: PairHead, one: str, other: str) -> float:
    """The mean of the two orders, as `predict` answers them."""
    answers = model.predict(head.task, [(one, other), (other, one)])
    if head.label is None:
        return float(np.mean([answer.answer for answer in answers]))
    return float(np.mean([answer.probabilities[head.label] for answer in answers]))


def between(values: Iterable[float]) -> float:
    """The middle of the widest gap between numbers, where no rounding decides on which side one lies."""
    ordered = np.sort([float(value) for value in values])
    gap = int(np.argmax(np.diff(ordered)))
    return float(ordered[gap : gap + 2].mean())


HEADS = [PairHead("para", "yes"), PairHead("concat", "no"), PairHead("sts", None), PairHead("near", None)]
HEADS += [PairHead("nli", "neutral")]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.task)
def test_every_pair_above_the_threshold_is_found_with_its_own_score(model: MultitaskModel, head: PairHead) -> None:
    vectors = model.embed(TEXTS, normalize=True)
    every = {(i, j): asked_alone(model, head, TEXTS[i], TEXTS[j]) for i, j in itertools.combinations(DISTINCT, 2)}
    threshold = between(every.values())
    found = duplicates(model, TEXTS, head, threshold, neighbours=len(TEXTS), min_cosine=-1)
    scored = {(pair.first, pair.second): pair for pair in found if pair.score is not None}
    assert scored.keys() == {pair for pair, score in every.items() if score >= threshold}
    for (i, j), pair in scored.items():
        assert pair.score == pytest.approx(every[i, j], abs=1e-5)
        assert pair.cosine == pytest.approx(float(vectors[i] @ vectors[j]), abs=1e-5)
    assert [pair.score for pair in found[2:]] == sorted((pair.score for pair in found[2:]), reverse=True)
    assert {(pair.first, pair.second) for pair in found[:2]} == SAME


def test_a_head_that_minds_the_order_is_asked_both_ways(model: MultitaskModel) -> None:
    first, other = TEXTS[0], TEXTS[1]
    one_way = [model.predict("concat", [pair])[0].probabilities["yes"] for pair in ((first, other), (other, first))]
    assert abs(one_way[0] - one_way[1]) > 5e-4
    scores = [
        duplicates(model, texts, PairHead("concat", "yes"), 0.0, min_cosine=-1)[0].score
        for texts in ([first, other], [other, first])
    ]
    assert scores == [pytest.approx(np.mean(one_way), abs=1e-6)] * 2


@pytest.mark.parametrize("pairs", [1, 5])
def test_scores_are_the_same_whatever_is_judged_at_a_time(
    model: MultitaskModel, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = duplicates(model, TEXTS, HEADS[0], 0.0, min_cosine=-1)
    monkeypatch.setattr(judging, "PAIRS", pairs)
    parts = duplicates(model, TEXTS, HEADS[0], 0.0, min_cosine=-1)
    assert [(pair.first, pair.second) for pair in parts] == [(pair.first, pair.second) for pair in whole]
    np.testing.assert_allclose([p.score or 0 for p in parts], [p.score or 0 for p in whole], atol=1e-6)


def test_without_a_pair_task_the_cosine_decides(model: MultitaskModel) -> None:
    vectors = model.embed(TEXTS, normalize=True)
    cosines = {(i, j): float(vectors[i] @ vectors[j]) for i, j in itertools.combinations(DISTINCT, 2)}
    threshold = between(cosines.values())
    found = duplicates(model, TEXTS, None, threshold, neighbours=20, min_cosine=-1)
    expected = {pair for pair, cosine in cosines.items() if cosine >= threshold} | SAME
    assert {(pair.first, pair.second) for pair in found} == expected
    assert {pair.score for pair in found} == {None}


def test_candidates_are_the_nearest_of_either_side_above_the_least_cosine(model: MultitaskModel) -> None:
    vectors = model.embed(TEXTS, normalize=True)
    cosines = vectors @ vectors.T
    best = {i: max((j for j in DISTINCT if j != i), key=lambda j, i=i: cosines[i, j]) for i in DISTINCT}
    expected = {(min(pair), max(pair)) for pair in best.items()}
    found = duplicates(model, TEXTS, HEADS[0], 0.0, neighbours=1, min_cosine=-1)
    assert {(p.first, p.second) for p in found if p.score is not None} == expected
    middle = between(cosines[pair] for pair in expected)
    found = duplicates(model, TEXTS, HEADS[0], 0.0, neighbours=1, min_cosine=middle)
    assert {(p.first, p.second) for p in found if p.score is not None} == {p for p in expected if cosines[p] > middle}


def test_groups_hang_together_and_are_numbered_as_they_appear(model: MultitaskModel) -> None:
    found = duplicates(model, TEXTS, HEADS[0], 0.6, min_cosine=-1)
    groups: dict[int, set[int]] = {}
    for pair in found:
        groups.setdefault(pair.group, set()).update((pair.first, pair.second))
    assert list(groups) == list(range(1, len(groups) + 1))
    assert sum(len(group) for group in groups.values()) == len(set().union(*groups.values()))  # no text is in two
    for pair, other in itertools.combinations(found, 2):
        if {pair.first, pair.second} & {other.first, other.second}:
            assert pair.group == other.group


def test_texts_that_are_the_same_are_found_without_a_model_and_paired_with_the_first(model: MultitaskModel) -> None:
    found = duplicates(model, ["A  b", "c", "a B", "\u200b", "a b ", "c"], None, 1.0)
    assert found == [Pair(0, 2, None, None, 1), Pair(0, 4, None, None, 1), Pair(1, 5, None, None, 2)]


@pytest.mark.parametrize("texts", [[], ["", " "], ["one text"], ["one text", ""]])
@pytest.mark.parametrize("head", [None, HEADS[0]])
def test_where_nothing_can_be_compared_nothing_is_found(
    model: MultitaskModel, texts: list[str], head: PairHead | None
) -> None:
    assert duplicates(model, texts, head) == []
    assert similar(model, [], texts, head) == similar(model, texts, [], head) == []


@pytest.mark.parametrize("head", [None, *HEADS], ids=lambda head: head.task if head else "cosine")
def test_similar_gives_the_nearest_in_the_order_of_their_scores(model: MultitaskModel, head: PairHead | None) -> None:
    queries = ["the dull cat", " ", "a good dog"]
    vectors, asked = model.embed(TEXTS, normalize=True), model.embed(queries, normalize=True)
    hits = similar(model, TEXTS, queries, head, 4)
    assert [(hit.query, hit.rank) for hit in hits] == [(query, rank) for query in (0, 2) for rank in (1, 2, 3, 4)]
    for query in (0, 2):
        cosines = vectors @ asked[query]
        nearest = sorted((p for p in range(len(TEXTS)) if TEXTS[p].strip()), key=lambda p: -round(float(cosines[p]), 5))
        of_query = [hit for hit in hits if hit.query == query]
        assert {hit.place for hit in of_query} == set(nearest[:4])
        scores = [hit.cosine if head is None else hit.score for hit in of_query]
        assert scores == sorted(scores, reverse=True)
        for hit in of_query:
            assert hit.cosine == pytest.approx(float(cosines[hit.place]), abs=1e-5)
            if head is not None:
                alone = asked_alone(model, head, queries[query], TEXTS[hit.place])
                assert hit.score == pytest.approx(alone, abs=1e-5)


def test_texts_beyond_the_limit_are_refused(model: MultitaskModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LIMIT", 11)
    assert len(duplicates(model, TEXTS, None)) >= 2  # eleven that are not blank
    with pytest.raises(
        InputError, match="12 texts are more than the 11 that are compared with each other; search in parts"
    ):
        duplicates(model, [*TEXTS, "one more"], None)
    monkeypatch.setattr(search, "COMPARISONS", 11)
    assert similar(model, TEXTS, ["more", " "], None)
    with pytest.raises(InputError, match=r"^2 queries by 11 texts are more than 11 comparisons; search in parts$"):
        similar(model, TEXTS, ["more", "two"], None)


def test_the_limit_is_as_documented() -> None:
    assert search.LIMIT == 100_000
    assert search.COMPARISONS == 10_000_000_000


def labelled(*labels: str) -> Task:
    return Task(kind="pair-classification", labels=list(labels), **PAIR).completed(None)


@pytest.mark.parametrize(
    ("labels", "label"),
    [("0 1", "1"), ("1 0", "1"), ("false true", "true"), ("True False", "True"), ("no yes", "yes"), ("No Yes", "Yes")],
)
def test_a_class_that_says_yes_needs_no_naming(tiny_encoder: Path, labels: str, label: str) -> None:
    model = build(tiny_encoder, {"sst": SST, "same": labelled(*labels.split())})
    assert pair_head(model, None, None) == PairHead("same", label)


def test_a_label_may_be_spelled_as_in_files(tiny_encoder: Path) -> None:
    model = build(tiny_encoder, {"same": labelled("0", "1")})
    assert pair_head(model, None, "0.0") == PairHead("same", "0")


FAULTS = [
    (
        {"nli": TASKS["nli"]},
        (None, None),
        "say which class of task 'nli' means duplicate: --label contradiction, --label",
    ),
    (
        {"nli": TASKS["nli"]},
        (None, "entails"),
        "task 'nli' has no class 'entails' (did you mean 'entailment'?); it has",
    ),
    (
        TASKS,
        (None, None),
        "this model has 5 pair tasks; choose one: --task para, --task concat, --task sts, --task",
    ),
    (
        TASKS,
        ("parra", None),
        "this model has no task 'parra' (did you mean 'para'?); its pair tasks: para, concat, sts",
    ),
    ({"sst": SST, "para": PARA}, ("sst", None), "task 'sst' takes one text; choose a pair task: --task para"),
    (
        {"sst": SST},
        ("sst", None),
        "this model has no pair task; leave --task and --label out to compare texts by",
    ),
    ({"sst": SST}, (None, "yes"), "this model has no pair task; leave --task and --label out"),
    ({"sts": STS}, (None, "1"), "task 'sts' gives a score and has no classes; leave --label out"),
]


@pytest.mark.parametrize(("tasks", "words", "message"), FAULTS)
def test_what_should_judge_is_named_or_asked_for(
    tiny_encoder: Path, tasks: dict[str, Task], words: tuple[str | None, str | None], message: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        pair_head(build(tiny_encoder, tasks), *words)


def test_a_model_without_pair_tasks_judges_by_cosine(tiny_encoder: Path) -> None:
    model = build(tiny_encoder, {"sst": SST})
    assert pair_head(model, None, None) is None
    assert measure(model, None) == "cosine"


def test_thresholds(model: MultitaskModel) -> None:
    assert threshold_of(model, None, None) == 0.8
    assert threshold_of(model, HEADS[0], None) == 0.5
    assert threshold_of(model, HEADS[2], 4.5) == 4.5
    with pytest.raises(ModelError, match=r"task 'sts' gives a score in 0..5; say from which score on two texts are"):
        threshold_of(model, HEADS[2], None)
    for head, given, message in [
        (None, 1.5, "a cosine is in -1..1, so --threshold 1.5 decides nothing; give one inside"),
        (HEADS[0], -0.1, "a probability is in 0..1, so --threshold -0.1 decides nothing"),
        (HEADS[2], 6.0, "a score is in 0..5, so --threshold 6 decides nothing"),
    ]:
        with pytest.raises(ModelError, match=re.escape(message)):
            threshold_of(model, head, given)
