from kyvo.evaluation.timing import alternate, rate_ratio


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    seconds = {"ours": [1.0, 1.0, 10.0], "naive": [2.0, 3.0, 40.0]}
    assert rate_ratio(seconds, "ours", "naive") == 3.0
    assert rate_ratio(seconds, "ours", "naive", work=(2.0, 1.0)) == 6.0


def test_variants_take_turns_and_the_first_round_is_not_counted():
    called = []
    seconds = alternate({name: lambda name=name: called.append(name) for name in "ab"}, repeats=2)
    assert called == list("ababab")
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}
