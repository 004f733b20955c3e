import numpy as np
import pytest
from PIL import Image

from kyvo.data.dataset import write_set
from kyvo.data.generators import ClevrSet
from kyvo.data.picture_sets import is_set, load_objects, load_pictures
from kyvo.errors import ConfigError, ImageError
from kyvo.testing import tiny_image


def test_a_folders_pictures_come_fitted_and_in_the_order_of_their_names(tmp_path):
    for name, red in (("b.png", 2), ("a.PNG", 1), ("c.png", 3)):
        Image.new("RGB", (48, 32), (red, 0, 0)).save(tmp_path / name, format="png")
    (tmp_path / "notes.txt").write_text("no picture")
    pictures = load_pictures(tmp_path, width=24, height=16, limit=None)
    assert pictures.shape == (3, 16, 24, 3)
    assert pictures[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert len(load_pictures(tmp_path, width=24, height=16, limit=2)) == 2
    assert not is_set(tmp_path)
    with pytest.raises(ConfigError, match=r"objects are read from scenes, and .* is no Arrow set"):
        load_objects(tmp_path, tiny_image().config, limit=None)


def test_a_sets_pictures_and_objects_belong_together(tmp_path):
    write_set(tmp_path, ClevrSet(count=3, seed=0, width=24, height=16, samples=1))
    assert is_set(tmp_path)
    assert load_pictures(tmp_path, width=24, height=16, limit=2).shape == (2, 16, 24, 3)
    schema, maps = load_objects(tmp_path, tiny_image().config, limit=2)
    assert schema.name == "clevr" and maps.present.shape == (2, 2, 3)
    assert np.all(maps.present.flatten(1).any(1).numpy())


def test_other_processes_read_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("kyvo.data.picture_sets._Parts.size", 2)
    write_set(tmp_path, ClevrSet(count=5, seed=0, width=24, height=16, samples=1))
    here, there = (load_pictures(tmp_path, width=24, height=16, limit=None, workers=workers) for workers in (0, 2))
    assert here.shape == (5, 16, 24, 3) and here.equal(there)
    here, there = (load_objects(tmp_path, tiny_image().config, limit=None, workers=workers)[1] for workers in (0, 2))
    assert all(value.equal(vars(there)[name]) for name, value in vars(here).items())


def test_a_place_without_pictures_is_refused(tmp_path):
    with pytest.raises(ImageError, match="none has no pictures; expected an Arrow set"):
        load_pictures(tmp_path / "none", width=24, height=16, limit=None)
