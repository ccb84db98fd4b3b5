"""Packing: every token has its place, groups hold texts of like length, and nothing is lost on the way back."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from minbert.packing import MAX_LENGTH_RATIO, Packing

masks = st.integers(1, 9).flatmap(
    lambda longest: st.lists(st.lists(st.booleans(), min_size=longest, max_size=longest), min_size=1, max_size=12)
)


@given(masks)
def test_tokens_are_packed_and_come_back_to_their_places(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows).long()
    packing = Packing.of(mask)
    ids = torch.arange(1, mask.numel() + 1).view_as(mask)
    packed = packing.unpad(ids)
    assert sorted(packed.tolist()) == ids[mask.bool()].tolist()
    columns = torch.arange(mask.shape[1]).expand_as(mask)
    assert torch.equal(packing.positions, packing.unpad(columns))
    assert torch.equal(packing.pad(packed[:, None].float())[:, :, 0], (ids * mask).float())


@given(masks)
def test_groups_hold_whole_texts_of_like_length_one_after_the_other(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows).long()
    packing = Packing.of(mask)
    text = packing.indices // mask.shape[1]
    start = 0
    for group in packing.groups:
        tokens = text[start : start + group.tokens, None].double() + 1
        start += group.tokens
        padded = group.pad(tokens)
        assert padded.shape == (group.texts, group.longest, 1)
        assert torch.equal(group.unpad(padded), tokens)
        real = torch.ones_like(padded[:, :, 0]) == 1 if group.mask is None else group.mask[:, 0, 0] == 0
        lengths = real.sum(1).tolist()
        assert max(lengths) == group.longest
        assert max(lengths) <= MAX_LENGTH_RATIO * min(lengths)
        for line, kept in zip(padded[:, :, 0], real, strict=True):
            assert len(set(line[kept].tolist())) <= 1, "a line holds one text"
            assert not line[~kept].any()
    assert start == len(text)
    assert sum(group.texts for group in packing.groups) == len(mask)
    shortest = [
        int(mask.sum(1).sort().values[sum(g.texts for g in packing.groups[:i])]) for i in range(len(packing.groups))
    ]
    for first, following in itertools.pairwise(shortest):
        assert first * MAX_LENGTH_RATIO < following, "as few groups as there can be"
