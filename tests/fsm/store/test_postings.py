from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from yurt.fsm.store.postings import TUPLE_KEYS_MAX, changed, ordered, posting_of, with_one

keys = st.integers(0, 3 * TUPLE_KEYS_MAX)


@given(st.lists(st.dictionaries(keys, st.booleans(), min_size=1), max_size=60))
def test_a_posting_is_a_set_in_order(steps: list[dict[int, bool]]) -> None:
    posting, model = None, set()
    for membership in steps:
        before = None if posting is None else list(ordered(posting))
        one_by_one = posting
        for key, is_member in membership.items():
            one_by_one = with_one(one_by_one, key, is_member=is_member)
        kept, posting = posting, changed(posting, membership)
        assert (one_by_one is None) == (posting is None)
        assert posting is None or list(ordered(one_by_one or ())) == list(ordered(posting)), "one by one is the same"
        assert kept is None or list(ordered(kept)) == before, "the old one is as it was"
        model = {key for key in model | set(membership) if membership.get(key, True)}
        assert (posting is None) == (not model)
        if posting is not None:
            assert list(ordered(posting)) == sorted(model)
            assert len(posting) == len(model)
            assert isinstance(posting, Map) or len(posting) <= TUPLE_KEYS_MAX


@given(st.sets(keys, min_size=1))
def test_a_posting_made_at_once_says_the_same(members: set[int]) -> None:
    assert list(ordered(posting_of(sorted(members)))) == sorted(members)
