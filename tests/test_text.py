"""Texts -> token ids -> batches: what is cut, what is padded, and that no row is lost or out of place."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from conftest import tiny_tokenizer
from minbert.data import Examples
from minbert.text import Batch, Encoded, batches_by_length, encode, encode_texts, pad

CLS, SEP, UNK = 2, 3, 1
TOKEN_LISTS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=30), min_size=1, max_size=12)
LENGTHS = st.lists(st.integers(1, 600), max_size=80).map(lambda lengths: np.array(lengths, dtype=np.int64))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def tokens(tokenizer: Tokenizer, text: str, max_length: int = 40) -> str:
    (ids,), _ = encode_texts([text], tokenizer, max_length)
    return " ".join(tokenizer.id_to_token(i) for i in ids)


# Cutting (field report B17)


@given(words=st.integers(0, 60), max_length=st.integers(2, 50))
def test_a_text_is_cut_at_its_end_and_stays_between_cls_and_sep(
    words: int, max_length: int, tokenizer: Tokenizer
) -> None:
    whole = tokenizer.encode("the cat sat . " * words).ids
    (ids,), (was_cut,) = encode_texts(["the cat sat . " * words], tokenizer, max_length)
    assert was_cut == (len(whole) > max_length)
    assert ids == (whole if not was_cut else [*whole[: max_length - 1], SEP])
    assert (ids[0], ids[-1], len(ids)) == (CLS, SEP, min(len(whole), max_length))


@pytest.mark.parametrize("words", [38, 39])
def test_a_text_of_just_the_limit_is_not_cut(words: int, tokenizer: Tokenizer) -> None:
    _, was_cut = encode_texts(["cat " * words], tokenizer, 40)
    assert list(was_cut) == [words > 38]


def test_a_pair_is_cut_where_either_text_is_and_the_short_one_survives_whole(tokenizer: Tokenizer) -> None:
    long, short = "cat " * 60, "the dog sat"
    encoded = encode(Examples(["a", "b", "c"], [[long, short, short], [short, long, short]]), tokenizer, 10)
    assert list(encoded.cut) == [True, True, False]
    assert [[len(ids) for ids in column] for column in encoded.texts] == [[10, 5, 5], [5, 10, 5]]
    assert encoded.texts[0][1] == encoded.texts[1][0] == tokenizer.encode(short).ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("   \t\n ", ""),
        ("\u200b", ""),
        ("\u0000", ""),
        ("\ufeff\ufeff", ""),
        ("ca\u0000t d\ufeffog", "cat dog"),
        ("The CAT", "the cat"),
        ("x" * 5000, "[UNK]"),
        ("🙂🙃 🎉", "[UNK] [UNK]"),
        ("ＣＡＴ", "[UNK]"),
        ("cat\ud83d", "cat"),
        ("\udc00", ""),
        ("cat \ud83d\ude42 dog", "cat [UNK] dog"),
    ],
    ids=repr,
)
def test_odd_texts_have_these_tokens(text: str, expected: str, tokenizer: Tokenizer) -> None:
    """Field report B23: blank, zero-width and NUL-only texts are [CLS][SEP]; NUL and BOM vanish inside words."""
    assert tokens(tokenizer, text) == f"[CLS] {expected} [SEP]".replace("  ", " ")


def test_a_cell_of_200000_characters_is_cut_like_any_other(tokenizer: Tokenizer) -> None:
    text = "not a very good film . " * 9000
    ids, was_cut = encode_texts([text, "cat"], tokenizer, 40)
    assert [len(i) for i in ids] == [40, 3]
    assert list(was_cut) == [True, False]


def test_no_texts_give_no_ids(tokenizer: Tokenizer) -> None:
    ids, was_cut = encode_texts([], tokenizer, 40)
    assert ids == []
    assert was_cut.shape == (0,)
    encoded = encode(Examples([], [[], []]), tokenizer, 40)
    assert len(encoded) == len(encoded.lengths) == len(encoded.cut) == 0


# Padding and batches


@given(TOKEN_LISTS)
def test_pad_gives_back_every_text_under_its_mask(texts: list[list[int]]) -> None:
    input_ids, mask = pad(texts)
    assert input_ids.shape == mask.shape == (len(texts), max(map(len, texts)))
    assert input_ids.dtype == mask.dtype == torch.long
    for ids, row, real in zip(texts, input_ids, mask, strict=True):
        assert row[real.bool()].tolist() == ids
        assert real.tolist() == [1] * len(ids) + [0] * (len(row) - len(ids))
        assert not row[~real.bool()].any()


def encoded_pairs(n: int = 4) -> Encoded:
    """Example i has texts of i + 2 and 9 - i tokens that name it: all 10 + i, and all 20 + i."""
    first = [[10 + i] * (i + 2) for i in range(n)]
    second = [[20 + i] * (9 - i) for i in range(n)]
    return Encoded([f"id{i}" for i in range(n)], [first, second], np.arange(n) / 2, np.zeros(n, dtype=bool))


def named(batch: Batch) -> list[int]:
    """The token that each text of a batch is made of."""
    return batch.input_ids.amax(1).tolist()


def test_a_pair_batch_holds_all_first_texts_then_all_second_texts() -> None:
    batch = encoded_pairs().batch([2, 0, 2])
    assert batch.is_pair
    assert named(batch) == [12, 10, 12, 22, 20, 22]
    assert batch.attention_mask.sum(1).tolist() == [4, 2, 4, 7, 9, 7]
    assert batch.tokens == 33
    assert batch.labels is not None
    assert batch.labels.tolist() == [1.0, 0.0, 1.0]
    assert batch.labels.dtype == torch.float64, "a set of 52 classes is one number"


def test_swapping_changes_places_within_the_chosen_pairs_alone() -> None:
    encoded = encoded_pairs()
    swapped = encoded.batch(np.array([0, 1, 3]), np.array([False, True, True]))
    assert named(swapped) == [10, 21, 23, 20, 11, 13]
    assert swapped.labels is not None
    assert swapped.labels.tolist() == [0.0, 0.5, 1.5]
    assert named(encoded.batch([0, 1, 3])) == [10, 11, 13, 20, 21, 23]


def test_single_texts_have_nothing_to_swap() -> None:
    single = Encoded(["a", "b"], [[[5], [6, 6]]], None, np.zeros(2, dtype=bool))
    batch = single.batch([1, 0], np.array([True, True]))
    assert not batch.is_pair
    assert batch.labels is None
    assert named(batch) == [6, 5]


def test_lengths_are_of_the_longer_text_of_a_pair() -> None:
    assert encoded_pairs().lengths.tolist() == [9, 8, 7, 6]


def test_a_batch_moves_to_a_device_but_for_its_mask() -> None:
    batch = encoded_pairs().batch([0, 1])
    moved = batch.to(torch.device("meta"))
    assert {moved.input_ids.device.type, moved.labels.device.type} == {"meta"}
    assert torch.equal(moved.attention_mask, batch.attention_mask)
    assert moved.is_pair


@given(LENGTHS, st.integers(1, 5000))
def test_batches_by_length_hold_every_row_once_within_their_budget(lengths: np.ndarray, max_tokens: int) -> None:
    groups = batches_by_length(lengths, max_tokens)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) * lengths[group].max() <= max_tokens or len(group) == 1
    sizes = [length for group in groups for length in lengths[group]]
    assert sizes == sorted(sizes, reverse=True)


def test_one_long_text_does_not_widen_the_other_batches() -> None:
    lengths = np.array([5] * 100 + [512])
    groups = batches_by_length(lengths, 512)
    assert [int(lengths[group].max()) for group in groups] == [512, 5]
