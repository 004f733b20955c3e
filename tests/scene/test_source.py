"""`source`: how a recognised scene came about, as scene JSON carries it."""

import pytest

from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.source import Source, source_of, with_source
from kyvo.scene.validate import validate

SOURCE = Source(in_domain=0.25, notes=("it was cut",), warnings=("it is a cat",))


def test_a_source_survives_scene_json():
    data = scene_to_json(with_source(Scene(objects=()), SOURCE))
    assert data["source"] == {"in_domain": 0.25, "notes": ["it was cut"], "warnings": ["it is a cat"]}
    assert validate(data) == [] and source_of(scene_from_json(data)) == SOURCE


def test_what_there_is_nothing_to_say_of_is_left_out():
    scene = Scene(objects=(), extra={"mine": 1})
    assert with_source(scene, Source()) == scene and source_of(scene) == Source()
    assert with_source(scene, Source(in_domain=0.0)).extra == {"mine": 1, "source": {"in_domain": 0.0}}
    assert with_source(with_source(scene, SOURCE), Source()) == scene, "a new source takes the place of the old one"


@pytest.mark.parametrize("own", ["camera 3", 7, ["a"], {"in_domain": "high", "notes": "x", "warnings": None}, {"a": 1}])
def test_a_users_own_source_is_kept_and_not_misread(own):
    scene = scene_from_json({**scene_to_json(Scene(objects=())), "source": own})
    assert source_of(scene) == Source() and scene_to_json(scene)["source"] == own
