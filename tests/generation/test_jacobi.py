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
from kyvo.generation.jacobi import JacobiDecoder, around
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.fields import Axis
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_llama, tiny_processor

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
    """From pictures of noise."""
    noise = np.random.default_rng(2).integers(0, 256, (count, 16, 24, 3), dtype=np.uint8)
    return JacobiDecoder(kyvo.language_model.engine, kyvo.processor.builder, kyvo.processor.image, list(noise))


def test_enough_sweeps_come_to_what_the_engine_writes(kyvo, monkeypatch):
    monkeypatch.setattr(jacobi, "ROWS", 2)
    monkeypatch.setattr(jacobi, "SWEEPS", CODES)
    scenes = [scene((0.5, -1.0), (1.5, 2.0)), scene(), scene((-2.0, 0.0), (0.05, 0.1), (3.0, -3.0))]
    for one, other in zip(begun(kyvo, 3).draw(scenes), kyvo.render(scenes), strict=True):
        assert_alike(one, other)


def test_the_codes_of_the_pictures_are_told_first_in_the_order_of_writing(kyvo):
    builder, table = kyvo.processor.builder, kyvo.model.get_input_embeddings().weight
    (picture,) = kyvo.render([scene((0.5, -1.0))])
    written = kyvo.encode_images([picture])[0][builder.order]
    assert (builder.raster(written) == kyvo.encode_images([picture])[0]).all()
    embedded = JacobiDecoder(kyvo.language_model.engine, builder, kyvo.processor.image, [picture])._embedded[0]
    assert torch.equal(embedded, table[builder.vocabulary.ranges["image"].start + torch.from_numpy(written)])


def test_what_was_drawn_is_gone_on_with(kyvo, monkeypatch):
    scenes = [scene((0.5, -1.0)), scene((1.5, 2.0), (0.0, 0.0))]
    monkeypatch.setattr(jacobi, "SWEEPS", 1)
    steps = begun(kyvo, 2)
    for _ in range(CODES):
        drawn = steps.draw(scenes)
    for one, other in zip(drawn, kyvo.render(scenes), strict=True):
        assert_alike(one, other)


def test_a_place_between_bins_is_drawn_between_them(kyvo, monkeypatch):
    monkeypatch.setattr(jacobi, "SWEEPS", CODES)
    low, near, middle, high = (
        begun(kyvo, 1).draw([scene((x, -1.0))])[0].astype(int) for x in (0.5, 0.5 + 1e-6, 0.525, 0.55)
    )
    assert_alike(low, near)
    assert np.abs(middle - low).max() > 2 and np.abs(middle - high).max() > 2


def test_each_place_goes_to_its_own_object(kyvo, monkeypatch):
    monkeypatch.setattr(jacobi, "SWEEPS", CODES)
    objects = scene((-2.0, 0.0), (0.525, -1.0), (2.0, 1.0)).objects
    objects = (objects[0], replace(objects[1], color="blue"), objects[2])
    one, other = (begun(kyvo, 1).draw([Scene(objects=part)])[0] for part in (objects, objects[::-1]))
    assert_alike(one, other)


@given(
    values=st.lists(st.floats(-9, 9), min_size=1, max_size=6, unique=True).map(sorted).map(tuple),
    value=st.floats(-12, 12),
)
def test_a_value_is_on_the_way_from_one_number_to_the_next(values, value):
    low, high, share = around(Axis(name="x", unit="units", values=values), value)
    assert {low, high} <= set(values) and 0 <= share <= 1
    assert values.index(high) - values.index(low) in (0, 1)
    assert low + share * (high - low) == pytest.approx(float(np.clip(value, values[0], values[-1])))
