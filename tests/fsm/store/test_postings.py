from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from yurt.fsm.store.postings import TUPLE_KEYS_MAX, ordered, posting_of, with_key, without_key

keys = st.integers(0, 3 * TUPLE_KEYS_MAX)


@given(st.lists(st.tuples(st.booleans(), keys), max_size=150))
def test_a_posting_is_a_set_in_order(steps: list[tuple[bool, int]]) -> None:
    posting, model = None, set()
    for add, key in steps:
        if add:
            posting = with_key(posting, key)
            model.add(key)
        elif key in model:
            assert posting is not None
            posting = without_key(posting, key)
            model.discard(key)
        assert (posting is None) == (not model)
        if posting is not None:
            assert list(ordered(posting)) == sorted(model)
            assert len(posting) == len(model)
            assert isinstance(posting, Map) or len(posting) <= TUPLE_KEYS_MAX


@given(st.sets(keys, min_size=1))
def test_a_posting_made_at_once_says_the_same(members: set[int]) -> None:
    assert list(ordered(posting_of(sorted(members)))) == sorted(members)
