"""The Jaccard index against a slow twin and by hand."""

import math
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.errors import ConfigError, SceneError
from kyvo.metrics.scenes import (
    ARKITSCENES,
    CLEVR_TAUS,
    OBJAWORLD,
    OBJAWORLD_SHAPES,
    OBJECTRON,
    Criterion,
    after_best_turn,
    angle_difference,
    criterion_for,
    jaccard,
    match_scene,
    mean_jaccard,
    optimal_jaccard,
)
from kyvo.scene.scene import Scene, SceneObject


def thing(x, y=0.0, z=0.7, color="red"):
    return SceneObject(shape="cube", size="large", material="metal", color=color, location=(x, y, z))


def scene(*objects):
    return Scene(objects=objects)


def slow_matches(a, b, tau):
    same = (a.shape, a.size, a.color, a.material) == (b.shape, b.size, b.color, b.material)
    return same and ((a.location[0] - b.location[0]) ** 2 + (a.location[1] - b.location[1]) ** 2) ** 0.5 < tau


def slow_jaccard(predicted, truth, tau):
    left, hits = list(truth.objects), 0
    for item in predicted.objects:
        for candidate in left:
            if slow_matches(item, candidate, tau):
                left.remove(candidate)
                hits += 1
                break
    union = len(predicted.objects) + len(truth.objects) - hits
    return hits / union if union else 1.0


def slow_optimal(predicted, truth, tau):
    few, many = sorted([predicted.objects, truth.objects], key=len)
    hits = max(
        sum(slow_matches(a, b, tau) for a, b in zip(few, order, strict=True)) for order in permutations(many, len(few))
    )
    union = len(few) + len(many) - hits
    return hits / union if union else 1.0


crowded = st.lists(
    st.builds(
        thing,
        st.integers(-4, 4).map(lambda step: step * 0.06),
        st.integers(-2, 2).map(lambda step: step * 0.06),
        st.sampled_from([0.35, 0.7]),
        st.sampled_from(["red", "blue"]),
    ),
    max_size=5,
).map(lambda objects: scene(*objects))


@settings(max_examples=200)
@given(predicted=crowded, truth=crowded, tau=st.sampled_from(CLEVR_TAUS))
def test_both_indices_equal_their_slow_twins_and_the_optimal_is_never_lower(predicted, truth, tau):
    greedy, optimal = jaccard(predicted, truth, tau=tau), optimal_jaccard(predicted, truth, tau=tau)
    assert greedy == slow_jaccard(predicted, truth, tau)
    assert optimal == slow_optimal(predicted, truth, tau)
    assert greedy <= optimal


def test_the_papers_index_depends_on_the_order_where_the_optimal_does_not():
    predicted, truth = scene(thing(0.1), thing(0.0)), scene(thing(0.08), thing(0.2))
    # the first prediction takes the truth at 0.08, which the second one needed
    assert jaccard(predicted, truth, tau=0.15) == 1 / 3
    assert jaccard(scene(thing(0.0), thing(0.1)), truth, tau=0.15) == 1.0
    assert optimal_jaccard(predicted, truth, tau=0.15) == 1.0


@pytest.mark.parametrize(
    ("predicted", "truth", "score"),
    [
        (scene(), scene(), 1.0),
        (scene(), scene(thing(0.0)), 0.0),
        (scene(thing(0.0)), scene(), 0.0),
        (scene(thing(0.0)), scene(thing(0.0)), 1.0),
        (scene(thing(0.0)), scene(thing(0.0, color="blue")), 0.0),
        (scene(thing(0.25)), scene(thing(0.0)), 0.0),  # tau itself is too far
        (scene(thing(0.249)), scene(thing(0.0)), 1.0),
        (scene(thing(0.0, z=0.35)), scene(thing(0.0, z=0.7)), 1.0),  # the distance is taken on the floor
        (scene(thing(0.0), thing(0.0)), scene(thing(0.0)), 0.5),  # a truth is taken once
        (scene(thing(0.0), thing(2.0)), scene(thing(0.0), thing(-2.0)), 1 / 3),
    ],
)
def test_cases_by_hand(predicted, truth, score):
    assert jaccard(predicted, truth, tau=0.25) == score
    assert optimal_jaccard(predicted, truth, tau=0.25) == score


def test_a_criterion_chooses_attributes_and_axes():
    flat = Criterion(attributes=(), axes=(0, 1))
    solid = Criterion(attributes=())
    predicted, truth = scene(thing(0.0, z=0.35)), scene(thing(0.0, color="blue"))
    assert jaccard(predicted, truth, tau=0.1, criterion=flat) == 1.0
    assert jaccard(predicted, truth, tau=0.1, criterion=solid) == 0.0
    assert jaccard(scene(thing(0.0, y=0.2)), truth, tau=0.1, criterion=solid) == 0.0


def test_the_mean_over_a_set_by_hand():
    predictions = [scene(thing(0.12)), scene(thing(1.0), thing(-1.0, color="blue"))]
    truths = [scene(thing(0.0)), scene(thing(-1.0), thing(1.0), thing(3.0))]
    scores = mean_jaccard(predictions, truths)
    assert scores.num_scenes == 2
    assert scores.jaccard_by_tau == pytest.approx({0.05: 1 / 8, 0.1: 1 / 8, 0.15: 5 / 8, 0.2: 5 / 8, 0.25: 5 / 8})
    assert scores.jaccard == pytest.approx((2 * 1 / 8 + 3 * 5 / 8) / 5)
    assert scores.optimal_jaccard == pytest.approx(scores.jaccard)
    assert scores.attribute_accuracy == pytest.approx({"shape": 1.0, "size": 1.0, "material": 1.0, "color": 2 / 3})
    assert scores.position_error == pytest.approx(0.04)
    assert scores.count_accuracy == 0.5


def test_scores_that_no_pair_informs_are_none():
    empty = mean_jaccard([scene()], [scene()])
    assert (empty.jaccard, empty.attribute_accuracy, empty.position_error, empty.count_accuracy) == (
        1.0,
        None,
        None,
        1.0,
    )
    far = mean_jaccard([scene(thing(0.0))], [scene(thing(2.0))])
    assert (far.jaccard, far.attribute_accuracy, far.position_error) == (0.0, None, 2.0)


def test_lists_of_different_length_are_refused():
    with pytest.raises(SceneError, match="1 predictions and 2 truths; as many of both"):
        mean_jaccard([scene()], [scene(), scene()])
    with pytest.raises(SceneError, match="0 predictions and 0 truths"):
        mean_jaccard([], [])


def test_an_object_without_location_is_refused():
    with pytest.raises(SceneError, match=r"objects\[0\].location is missing; the distance needs it"):
        jaccard(scene(SceneObject(shape="cube")), scene(thing(0.0)), tau=0.1)


def bench(x, turn, *, z=0.2):
    return SceneObject(shape="bench", location=(x, 0.0, z), pose=(0.0, 0.0, turn))


def cup(x, *, category="cup", width=0.1):
    return SceneObject(category=category, location=(x, 0.0, 1.0), dimensions=(width, 0.1, 0.1))


def test_angles_go_around_the_circle():
    assert angle_difference(3.1, -3.1) == pytest.approx(2 * math.pi - 6.2)
    assert angle_difference(0.1, 2 * math.pi) == pytest.approx(0.1)
    assert angle_difference(math.pi, 0.0) == pytest.approx(math.pi)
    assert jaccard(scene(bench(0, 3.1)), scene(bench(0, -3.1)), tau=0.05, criterion=OBJAWORLD) == 1


@pytest.mark.parametrize(
    ("criterion", "predicted", "truth", "score"),
    [
        (OBJAWORLD, bench(0, 0.1), bench(0, 0.0), 1),
        (OBJAWORLD, bench(0, 0.2), bench(0, 0.0), 0),
        (OBJAWORLD, bench(0, 0.0, z=0.3), bench(0, 0.0), 0),
        (OBJAWORLD_SHAPES, bench(0.4, 0.0, z=0.4), bench(0, 0.1), 1),
        (OBJECTRON, cup(0), cup(0.1, width=0.24), 1),  # mean difference 0.14 / 3
        (OBJECTRON, cup(0), cup(0.1, width=0.3), 0),
        (OBJECTRON, cup(0), cup(0, category="shoe"), 0),
        (ARKITSCENES, cup(0), cup(1.2, width=2.9), 1),
        (ARKITSCENES, cup(0), cup(1.2, width=3.2), 0),
    ],
)
def test_each_data_set_has_its_criterion(criterion, predicted, truth, score):
    assert jaccard(scene(predicted), scene(truth), tau=criterion.taus[-1], criterion=criterion) == score


@pytest.mark.parametrize("steps", range(-40, 40))
def test_a_tie_is_a_tie_wherever_on_the_grid_it_lies(steps):
    """Numbers on ObjaWorld's grid of 0.05: a difference of exactly the limit is not below it."""
    low, high = steps * 0.05, (steps + 1) * 0.05
    assert jaccard(scene(bench(low, 0.0)), scene(bench(high, 0.0)), tau=0.05, criterion=OBJAWORLD) == 0
    assert jaccard(scene(bench(0, 0.0, z=low)), scene(bench(0, 0.0, z=high)), tau=1, criterion=OBJAWORLD) == 0
    turned = scene(bench(0, low)), scene(bench(0, (steps + 3) * 0.05))
    assert jaccard(*turned, tau=1, criterion=OBJAWORLD) == 0
    assert jaccard(scene(bench(0, low)), scene(bench(0, (steps + 2) * 0.05)), tau=1, criterion=OBJAWORLD) == 1
    width = abs(high) + 0.15  # a mean difference of 0.05 over three sides, which Objectron's criterion includes
    assert jaccard(scene(cup(0, width=abs(high))), scene(cup(0, width=width)), tau=1, criterion=OBJECTRON) == 1


def test_a_predicted_object_without_a_compared_field_matches_nothing():
    truth = scene(bench(0, 0.0))
    unposed = scene(SceneObject(shape="bench", location=(0.0, 0.0, 0.2)), SceneObject(shape="bench"))
    match = match_scene(unposed, truth, taus=(0.25,), criterion=OBJAWORLD)
    assert match.jaccard == match.optimal == (0.0,)
    assert (match.extras, match.misses) == ([0, 1], [0])
    assert match.nearest == ((0, 0, 0.0),)


@given(predicted=crowded, truth=crowded)
def test_matches_are_kept_and_add_up_to_the_index(predicted, truth):
    match = match_scene(predicted, truth, taus=CLEVR_TAUS)
    union = len(match.pairs) + len(match.misses) + len(match.extras)
    assert match.jaccard[-1] == (len(match.pairs) / union if union else 1.0)
    for i, j, distance in match.pairs:
        assert slow_matches(predicted.objects[i], truth.objects[j], 0.25)
        assert distance == pytest.approx(math.dist(predicted.objects[i].location[:2], truth.objects[j].location[:2]))


@given(predicted=crowded, truth=crowded, seed=st.randoms(use_true_random=False))
def test_the_optimal_index_rises_with_tau_and_ignores_the_order(predicted, truth, seed):
    optimal = match_scene(predicted, truth, taus=CLEVR_TAUS).optimal
    assert list(optimal) == sorted(optimal)
    shuffled = scene(*seed.sample(predicted.objects, len(predicted)))
    assert match_scene(shuffled, truth, taus=CLEVR_TAUS).optimal == optimal


@given(truth=crowded)
def test_the_truth_itself_is_perfect_under_the_best_matching(truth):
    assert set(match_scene(truth, truth, taus=CLEVR_TAUS).optimal) == {1.0}


def test_a_set_without_a_criterion_is_refused():
    with pytest.raises(ConfigError, match="the paper has no criterion for 'mine'; known are clevr"):
        criterion_for("mine")


def test_criteria_are_those_of_the_paper():
    angle, height = "pose (x,y,z): each difference around the circle < 0.15", "location (z): each difference < 0.05"
    size = "dimensions (x,y,z): mean absolute difference <= "
    assert OBJAWORLD.describe()["near"] == [height, angle] and OBJAWORLD_SHAPES.describe()["near"] == [angle]
    assert OBJECTRON.describe()["near"] == [size + "0.05"] and ARKITSCENES.describe()["near"] == [size + "1"]
    assert OBJAWORLD_SHAPES.taus == (0.5, 0.75, 1.0, 1.25, 1.5) and ARKITSCENES.taus == (1.25, 1.5, 1.75, 2.0, 2.25)


apart = st.lists(st.tuples(st.integers(-3, 2), st.integers(-3, 2)), min_size=1, max_size=6, unique=True).map(
    lambda cells: scene(*(thing(x + 0.5, y + 0.5).with_values(rotation=0.3 * x) for x, y in cells))
)


@given(angle=st.floats(-0.08, 0.08), truth=apart)
def test_the_best_turn_undoes_one_about_the_vertical(angle, truth):
    cosine, sine = math.cos(angle), math.sin(angle)
    seen = scene(
        *(
            thing(cosine * x - sine * y, sine * x + cosine * y).with_values(rotation=item.turn + angle)
            for item in truth.objects
            for x, y, _ in [item.location]
        )
    )
    found = after_best_turn(seen, truth)
    for item, true in zip(found.objects, truth.objects, strict=True):
        assert item.location == pytest.approx(true.location, abs=1e-9)
        assert item.turn == pytest.approx(true.turn)


def test_a_scene_without_a_pair_is_not_turned():
    seen = scene(thing(1.0), SceneObject(shape="cube"))
    assert after_best_turn(seen, scene(thing(1.0, color="blue"))) == seen
    assert after_best_turn(scene(), scene(thing(1.0))) == scene()
