"""`eval/soak.py`: it knows a mixed-up answer, and what its hostile clients send ends in a refusal or in nothing."""

import random
from dataclasses import replace

import loading
import numpy as np
import pytest

from kyvo.serving.app import create_app
from kyvo.serving.inputs import data_uri
from kyvo.serving.limits import Limits
from kyvo.serving.server import serving
from kyvo.testing import tiny_kyvo


@pytest.fixture(scope="module")
def soak():
    with loading.program("eval/soak.py") as module:
        yield module


def test_answers_are_the_same_in_words_and_near_in_numbers(soak):
    known = {"id": "a", "scene": {"objects": [{"color": "red", "location": [1.0, 2.0]}]}, "confidence": 0.1}
    near = {"id": "b", "scene": {"objects": [{"color": "red", "location": [1.001, 2.0]}]}, "confidence": 0.2}
    far = {"id": "a", "scene": {"objects": [{"color": "red", "location": [1.5, 2.0]}]}}
    other = {"id": "a", "scene": {"objects": [{"color": "blue", "location": [1.0, 2.0]}]}}
    assert soak.same(near, known, near=0.01)
    assert not soak.same(far, known, near=0.01) and not soak.same(other, known, near=0.01)
    assert not soak.same({"scene": {"objects": []}}, known, near=0.01)


def test_pictures_are_the_same_where_they_look_so(soak):
    picture = np.full((8, 8, 3), 100, np.uint8)
    brighter = np.full((8, 8, 3), 120, np.uint8)
    assert soak.same(data_uri(picture), data_uri(picture.copy()), near=0.01)
    assert not soak.same(data_uri(brighter), data_uri(picture), near=0.01)


@pytest.mark.slow
def test_valid_and_hostile_requests_to_a_tiny_server(soak):
    tenths = []
    with serving(create_app(tiny_kyvo(), name="tiny", limits=Limits(head_seconds=1.0))) as url:
        kept = [replace(one, known=soak.ask(url + one.path, one.body)) for one in soak.valid_requests(1, "tiny")]
        assert {one.kind for one in kept} == set(soak.VALID)
        count = soak.soak(url, kept, clients=8, requests=120, seed=0, near=0.02, tenth=lambda: tenths.append(0))
        assert soak.seconds_until_health(url) < 2
    assert count.failed == count.mixed == count.lost == count.refused == []
    assert sum(sum(own.values()) for own in count.statuses.values()) == 120 + count.overloaded
    assert count.statuses["hostile: picture"][422] > 0 and len(tenths) == 10


@pytest.mark.slow
def test_no_attack_is_a_fault_of_the_server(soak):
    pictures = soak.hostile_pictures()
    with serving(create_app(tiny_kyvo(), name="tiny", limits=Limits(head_seconds=1.0))) as url:
        for number in range(25):
            _, status, overload = soak.attack(url, pictures, random.Random(number))
            assert status < 500 or overload
