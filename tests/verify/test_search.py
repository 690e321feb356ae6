"""Halving finds the guilty; interrupted anywhere, it ends in the same place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unbloat.verify.search import Accepted, OtherSearchError, Outcome, Rejected, longest, settle

Judge = Callable[[tuple[int, ...]], str | None]


def judge_of(guilty: frozenset[int], pairs: frozenset[tuple[int, int]], asked: list[tuple[int, ...]]) -> Judge:
    """Guilty items never hold; of a pair, both hold or neither."""

    def judge(items: tuple[int, ...]) -> str | None:
        asked.append(items)
        wrong = [item for item in items if item in guilty]
        torn = [pair for pair in pairs if (pair[0] in items) != (pair[1] in items)]
        return f"{wrong or torn}" if wrong or torn else None

    return judge


numbers = st.integers(0, 19)
searches = st.tuples(
    st.integers(0, 20).map(lambda count: tuple(range(count))),
    st.frozensets(numbers, max_size=4),
    st.frozensets(st.tuples(numbers, numbers), max_size=3),
)


@given(searches)
def test_every_item_is_settled_once_and_what_is_accepted_holds(
    search: tuple[tuple[int, ...], frozenset[int], frozenset[tuple[int, int]]],
) -> None:
    batch, guilty, pairs = search
    asked: list[tuple[int, ...]] = []
    outcomes = list(settle(batch, judge_of(guilty, pairs, asked)))
    accepted = [item for one in outcomes if isinstance(one, Accepted) for item in one.items]
    rejected = [one.item for one in outcomes if isinstance(one, Rejected)]
    assert sorted(accepted + rejected) == list(batch)
    assert guilty.isdisjoint(accepted)
    assert not accepted or judge_of(guilty, pairs, [])(tuple(accepted)) is None
    if not pairs:
        assert set(rejected) == guilty & set(batch)


@given(searches, st.data())
def test_an_interrupted_search_goes_on_as_if_it_was_not(
    search: tuple[tuple[int, ...], frozenset[int], frozenset[tuple[int, int]]], data: st.DataObject
) -> None:
    batch, guilty, pairs = search
    asked: list[tuple[int, ...]] = []
    whole = list(settle(batch, judge_of(guilty, pairs, asked)))
    known = data.draw(st.integers(0, len(whole)))
    again: list[tuple[int, ...]] = []
    assert list(settle(batch, judge_of(guilty, pairs, again), whole[:known])) == whole
    assert again == asked[len(asked) - len(again) :], "only the last questions are asked again"
    if known == len(whole):
        assert again == []


@pytest.mark.parametrize(
    "past",
    [
        [Accepted((7,))],
        [Accepted((0, 1, 2, 3, 4))],
        [Rejected(3, "")],
        [Accepted((0, 1, 2, 3)), Accepted((4,))],
    ],
)
def test_another_search_is_refused(past: list[Outcome[int]]) -> None:
    with pytest.raises(OtherSearchError):
        list(settle((0, 1, 2, 3), lambda items: None, past))


@given(st.integers(1, 200), st.data())
def test_the_longest_beginning_that_holds(count: int, data: st.DataObject) -> None:
    holding = data.draw(st.integers(0, count - 1))
    asked: list[int] = []

    def judge(first: int) -> str | None:
        asked.append(first)
        return None if first <= holding else f"{first} are too many"

    held, reason = longest(count, judge, f"{count} are too many")
    assert (held, reason) == (holding, f"{holding + 1} are too many")
    assert len(asked) <= count.bit_length() and not {0, count} & set(asked)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_where_holding_comes_and_goes_the_next_longer_beginning_still_fails(inner: list[bool]) -> None:
    holds = [True, *inner, False]
    held, reason = longest(len(holds) - 1, lambda first: None if holds[first] else str(first), str(len(holds) - 1))
    assert holds[held] and not holds[held + 1] and reason == str(held + 1)
