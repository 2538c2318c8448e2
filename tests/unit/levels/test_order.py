"""Levels from periods and needs: against the definition on random systems, and what is refused."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbhelpers.levels import order


@st.composite
def systems(draw):
    """Up to seven parts with periods and needs, without a circle."""
    names = [f"part {i}" for i in range(draw(st.integers(1, 7)))]
    periods = {name: draw(st.sampled_from([0, 1, 4, math.inf])) for name in names}
    needs = {name: {other for other in names[:i] if draw(st.booleans())} for i, name in enumerate(names)}
    return periods, needs


def needed(name, needs):
    return set(needs[name]).union(*(needed(other, needs) for other in needs[name]))


def faster(a, b, periods, needs):
    if periods[a] != periods[b]:
        return periods[a] < periods[b]
    return a in needed(b, needs)


@given(systems())
def test_levels_keep_the_order_of_the_definition_and_hold_no_two_of_which_one_is_faster(system):
    periods, needs = system
    levels = order(periods, needs)
    place = {name: i for i, level in enumerate(levels) for name in level}
    assert sorted(place) == sorted(periods)
    for a in periods:
        for b in periods:
            if faster(a, b, periods, needs):
                assert place[a] < place[b]
    for before, level in itertools.pairwise(levels):
        for name in level:  # no part lies deeper than it must
            assert any(faster(other, name, periods, needs) for other in before)


def test_momentum_comes_before_the_weights_that_need_it_and_adams_two_moments_share_a_level():
    assert order({"weights": 1, "momentum": 1}, {"weights": {"momentum"}}) == [["momentum"], ["weights"]]
    adam = order({"mean": 1, "square": 1, "weights": 1}, {"weights": {"mean", "square"}})
    assert adam == [["mean", "square"], ["weights"]]


def test_needs_reach_through_other_parts():
    assert order({"a": 1, "b": 1, "c": 1}, {"b": ["a"], "c": ["b"]}) == [["a"], ["b"], ["c"]]


def test_a_dense_system_is_sorted_in_no_time():
    names = [f"p{i}" for i in range(60)]
    assert order(dict.fromkeys(names, 1), {n: names[:i] for i, n in enumerate(names)}) == [[n] for n in names]


@pytest.mark.parametrize(
    ("periods", "needs", "words"),
    [
        ({"a": 1, "b": 1}, {"a": ["b"], "b": ["a"]}, "a needs b needs a"),
        ({"a": 1}, {"a": ["b"]}, "name b, which have no period"),
        ({"a": 1}, {"b": ["a"]}, "name b, which have no period"),
        ({"a": -1}, {}, "expected 0 or more"),
        ({"a": math.nan}, {}, "expected 0 or more"),
    ],
)
def test_what_cannot_be_sorted_is_refused(periods, needs, words):
    with pytest.raises(ValueError, match=words):
        order(periods, needs)
