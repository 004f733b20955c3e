"""Exact match and what guessing scores, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import SceneError
from kyvo.metrics.answers import TrueAnswer, exact_matches, score_answers, type_of


def true(text, family="all"):
    return TrueAnswer(text=text, family=family)


TRUTH = [true("yes", "exist"), true("no", "exist"), true("yes", "exist"), true("2", "count"), true("3", "count")]


def test_scores_by_hand():
    scores = score_answers(["yes", "yes", "Yes", " 2 ", None], TRUTH)
    whole = scores["all"]["all"]
    assert (whole.count, whole.exact_match) == (5, 2 / 5)  # yes and 2; "Yes" is another word
    assert whole.random == pytest.approx(1 / 2)  # two words of each type occur
    assert whole.most_frequent == pytest.approx(3 / 5)  # yes twice, one of the numbers once
    assert scores["family"]["exist"].exact_match == pytest.approx(1 / 3)
    assert scores["family"]["count"].exact_match == pytest.approx(1 / 2)
    assert set(scores["type"]) == {"bool", "integer"}


def test_types_are_read_off_the_answers():
    words = {"yes": "bool", "10": "integer", "purple": "color", "rubber": "material", "small": "size", "cone": "other"}
    assert {word: type_of(word) for word in words} == words


@given(st.lists(st.sampled_from(["yes", "no", "1", "2", "red"]), min_size=1))
def test_the_truth_itself_is_always_right_and_guessing_never_above_it(words):
    whole = score_answers(words, [true(word) for word in words])["all"]["all"]
    assert whole.exact_match == 1
    assert 0 < whole.random <= whole.most_frequent + 1e-9 <= 1 + 1e-9


def test_lists_of_different_length_are_refused():
    with pytest.raises(SceneError, match="1 answers to 5 questions"):
        exact_matches(["yes"], TRUTH)


def test_an_answer_is_a_boolean_where_json_says_so():
    assert not TrueAnswer(text="yes").boolean
