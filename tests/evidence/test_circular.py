"""What is asked in circles has one answer, whoever asks first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from unbloat.evidence.circular import Circular

SIZE = 8
NODES = st.integers(0, SIZE - 1)


@given(
    st.lists(st.lists(NODES, max_size=4), min_size=SIZE, max_size=SIZE),
    st.sets(NODES, max_size=3),
    st.permutations(range(SIZE)),
)
def test_the_largest_set_that_agrees(asks: list[list[int]], guilty: set[int], order: list[int]) -> None:
    def judge(key: int) -> bool:
        return key not in guilty and all(answer(other) for other in asks[key])

    answer = Circular(judge)
    found = {key: answer(key) for key in order}
    reached = set(guilty)
    while more := {key for key in range(SIZE) if key not in reached and reached.intersection(asks[key])}:
        reached |= more
    assert found == {key: key not in reached for key in range(SIZE)}


def test_a_chain_may_be_long() -> None:
    answer: Circular[int] = Circular(lambda key: key < 100_000 and answer(key + 1))
    assert not answer(0)


def test_what_is_forgotten_is_judged_again() -> None:
    guilty: set[int] = set()
    answer: Circular[int] = Circular(lambda key: key not in guilty)
    assert answer(1)
    guilty.add(1)
    answer.clear()
    assert not answer(1)
