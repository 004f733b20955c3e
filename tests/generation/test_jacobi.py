"""Pictures drawn with all codes at once become those that the engine writes, at places on bins and between."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from alike import assert_alike
from hypothesis import given
from hypothesis import strategies as st

from kyvo.api import Kyvo
from kyvo.generation import jacobi
from kyvo.generation.jacobi import JacobiDecoder, bracket
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.fields import Axis
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_llama, tiny_processor
from kyvo.tokenizers.tasks import Segments

SCHEMA = clevr_schema()
WORDS = {"size": "small", "color": "red", "material": "metal", "shape": "cube"}
CODES = 6  # of a picture


def scene(*places: tuple[float, float]) -> Scene:
    return Scene(objects=tuple(SceneObject(location=(*place, 0.35), **WORDS) for place in places))


@pytest.fixture(scope="module", params=[False, True], ids=["without positions", "with positions"])
def kyvo(request) -> Kyvo:
    processor = tiny_processor()
    model = tiny_llama(len(processor.vocabulary))
    chance = torch.Generator().manual_seed(1)
    positions = torch.randn(processor.builder.num_grid_positions, 32, generator=chance) if request.param else None
    return Kyvo(model=model, processor=processor, positions=positions)


def begun(kyvo: Kyvo, count: int) -> JacobiDecoder:
    return JacobiDecoder(kyvo.language_model.engine, kyvo.processor.builder, kyvo.processor.image, count=count)


def one_by_one(kyvo: Kyvo, scenes: list[Scene]) -> list:
    return kyvo.complete("rendering", [Segments(scene=one) for one in scenes])


def test_enough_sweeps_come_to_what_the_engine_writes(kyvo):
    scenes = [scene((0.5, -1.0), (1.5, 2.0)), scene(), scene((-2.0, 0.0), (0.05, 0.1), (3.0, -3.0))]
    steps = begun(kyvo, 3)
    assert steps.num_sweeps == 0
    for one, other in zip(steps.draw(scenes), one_by_one(kyvo, scenes), strict=True):
        assert_alike(one, other.image)
    assert steps.num_sweeps == CODES  # no more than there are codes
    probabilities = steps.probabilities()
    for row, other in enumerate(one_by_one(kyvo, scenes)):
        assert probabilities[row] == pytest.approx(other.probability, rel=1e-3)
        assert (steps.num_prompt[row], steps.num_output) == (other.num_prompt, other.num_output)


def test_too_few_sweeps_do_not(kyvo, monkeypatch):
    monkeypatch.setattr(jacobi, "FIRST_SWEEPS", 1)
    scenes = [scene((0.5, -1.0))]
    (one,), (other,) = begun(kyvo, 1).draw(scenes), one_by_one(kyvo, scenes)
    assert np.abs(one.astype(int) - other.image).max() > 2


def test_each_sweep_is_a_call_of_its_own(kyvo):
    calls = []

    def call(network):
        calls.append(network)
        return network()

    image, engine = kyvo.processor.image, kyvo.language_model.engine
    JacobiDecoder(engine, kyvo.processor.builder, image, count=1, call=call).draw([scene((0.5, -1.0))])
    assert len(calls) == 1 + CODES + 1  # the prompts, the sweeps, the pixels


def test_what_was_drawn_is_gone_on_with(kyvo, monkeypatch):
    scenes = [scene((0.5, -1.0)), scene((1.5, 2.0), (0.0, 0.0))]
    monkeypatch.setattr(jacobi, "FIRST_SWEEPS", 1)
    monkeypatch.setattr(jacobi, "SWEEPS", 1)
    steps = begun(kyvo, 2)
    for _ in range(CODES):
        drawn = steps.draw(scenes)
    for one, other in zip(drawn, one_by_one(kyvo, scenes), strict=True):
        assert_alike(one, other.image)


def test_a_place_between_bins_is_drawn_between_them(kyvo):
    low, near, middle, high = (
        begun(kyvo, 1).draw([scene((x, -1.0))])[0].astype(int) for x in (0.5, 0.5 + 1e-6, 0.525, 0.55)
    )
    assert_alike(low, near)
    assert np.abs(middle - low).max() > 2 and np.abs(middle - high).max() > 2


def test_each_place_goes_to_its_own_object(kyvo):
    objects = scene((-2.0, 0.0), (0.525, -1.0), (2.0, 1.0)).objects
    objects = (objects[0], replace(objects[1], color="blue"), objects[2])
    one, other = (begun(kyvo, 1).draw([Scene(objects=part)])[0] for part in (objects, objects[::-1]))
    assert_alike(one, other)


@given(
    values=st.lists(st.floats(-9, 9), min_size=1, max_size=6, unique=True).map(sorted).map(tuple),
    value=st.floats(-12, 12),
)
def test_a_value_is_on_the_way_from_one_number_to_the_next(values, value):
    low, high, share = bracket(Axis(name="x", unit="units", values=values), value)
    assert {low, high} <= set(values) and 0 <= share <= 1
    assert values.index(high) - values.index(low) in (0, 1)
    assert low + share * (high - low) == pytest.approx(float(np.clip(value, values[0], values[-1])))


def test_scenes_of_a_schema_without_locations_are_drawn():
    schema = replace(SCHEMA, fields=SCHEMA.word_fields, order="given")
    processor = tiny_processor(schema=schema)
    kyvo = Kyvo(model=tiny_llama(len(processor.vocabulary)), processor=processor)
    given = [Scene(objects=(SceneObject(**WORDS), SceneObject(**WORDS | {"color": "blue"})))]
    (drawn,), (other,) = begun(kyvo, 1).draw(given), one_by_one(kyvo, given)
    assert_alike(drawn, other.image)
