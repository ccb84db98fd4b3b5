"""Packing: every token has its place, groups hold texts of like length, and nothing is lost on the way back."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from minbert.packing import LIKE, Packing

masks = st.integers(1, 9).flatmap(
    lambda longest: st.lists(st.lists(st.booleans(), min_size=longest, max_size=longest), min_size=1, max_size=12)
)


@given(masks)
def test_tokens_are_packed_and_come_back_to_their_places(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows).long()
    packing = Packing.of(mask)
    ids = torch.arange(1, mask.numel() + 1).view_as(mask)
    packed = packing.pack(ids)
    assert sorted(packed.tolist()) == ids[mask.bool()].tolist()
    columns = torch.arange(mask.shape[1]).expand_as(mask)
    assert torch.equal(packing.positions, packing.pack(columns))
    assert torch.equal(packing.unpack(packed[:, None].float())[:, :, 0], (ids * mask).float())


@given(masks)
def test_groups_hold_whole_texts_of_like_length_one_after_the_other(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows).long()
    packing = Packing.of(mask)
    text = packing.places // mask.shape[1]
    start = 0
    for group in packing.groups:
        tokens = text[start : start + group.tokens, None].double() + 1
        start += group.tokens
        spread = group.spread(tokens)
        assert spread.shape == (group.texts, group.longest, 1)
        assert torch.equal(group.collect(spread), tokens)
        real = torch.ones_like(spread[:, :, 0]) == 1 if group.mask is None else group.mask[:, 0, 0] == 0
        lengths = real.sum(1).tolist()
        assert max(lengths) == group.longest
        assert max(lengths) <= LIKE * min(lengths)
        for line, kept in zip(spread[:, :, 0], real, strict=True):
            assert len(set(line[kept].tolist())) <= 1, "a line holds one text"
            assert not line[~kept].any()
    assert start == len(text)
    assert sum(group.texts for group in packing.groups) == len(mask)
