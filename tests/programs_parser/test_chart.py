import time

import pytest

from kyvo.programs.grammar.chart import Chart, Grammar, Rules, TooLong, arity, parse_pattern


def readings(rules, text, symbol="s"):
    tokens = [{word: 0.0, "#": 0.0} if word.isdigit() else {word: 0.0} for word in text.split()]
    return Chart(Grammar(tuple(rules.found)), tokens, until=time.thread_time() + 60).readings(symbol)


def test_words_choices_options_and_numbers():
    rule = Rules({"THE": "(the|this)"})
    rule("s", "take [THE] <thing> [now]", lambda thing: ("take", thing))
    rule("s", "wait #", lambda seconds: ("wait", seconds))
    rule("thing", "(ball|round ball)", "ball")
    assert readings(rule, "take the ball") == readings(rule, "take round ball now") == [(("take", "ball"), 0.0)]
    assert readings(rule, "wait 3") == [(("wait", 3.0), 0.0)]
    assert readings(rule, "take") == readings(rule, "take the ball ball") == []


def test_the_cheapest_reading_comes_first_and_equal_meanings_are_one():
    rule = Rules()
    rule("s", "<a>", None, 0.5)
    rule("s", "<b>")
    rule("a", "x", "first")
    rule("b", "x", "second", 0.2)
    rule("b", "x", "first", 0.3)
    assert readings(rule, "x") == [("second", 0.2), ("first", 0.3)]


def test_a_meaning_of_none_drops_the_reading():
    rule = Rules()
    rule("s", "<n> <n>", lambda a, b: None if a == b else (a, b))
    rule("n", "one", 1)
    rule("n", "two", 2)
    assert readings(rule, "one one") == []
    assert readings(rule, "one two") == [((1, 2), 0.0)]


def test_words_may_be_several_at_a_cost():
    rule = Rules()
    rule("s", "(red|read) ball", "ball")
    chart = Chart(Grammar(tuple(rule.found)), [{"bed": 0.0, "red": 0.4}, {"ball": 0.0}], until=time.thread_time() + 60)
    assert chart.readings("s") == [("ball", 0.4)]


def test_too_long_is_said():
    rule = Rules()
    rule("s", "<s1>")
    rule("s1", "x", 1)
    with pytest.raises(TooLong):
        Chart(Grammar(tuple(rule.found)), [{"x": 0.0}], until=time.thread_time() - 1).readings("s")


@pytest.mark.parametrize("pattern", ["a (b", "a ]", "(a]", "[a|b"])
def test_brackets_match(pattern):
    with pytest.raises(ValueError, match="close"):
        parse_pattern(pattern)


def test_mistakes_in_rules_are_found():
    rule = Rules()
    with pytest.raises(ValueError, match="no macro"):
        rule("s", "PUT it")
    with pytest.raises(ValueError, match="has \\(2, 2\\) symbols"):
        rule("s", "<a> <b>")
    rule("s", "<missing>")
    with pytest.raises(ValueError, match="no rules for missing"):
        assert Grammar(tuple(rule.found)).by_symbol
    assert arity(parse_pattern("<a> [<b>] (<c>|<d> #)")) == (2, 4)
