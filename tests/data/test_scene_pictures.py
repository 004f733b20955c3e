"""Masks of a picture's objects: what is read, what is left out and told of, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from kyvo.data.scene_pictures import MAX_OBJECTS, as_scene_picture, read_scene_picture
from kyvo.errors import ImageError


def rgb_of(height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)


def box(left: int, top: int, right: int, bottom: int, *, shape: tuple[int, int] = (60, 90)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def files(tmp_path):
    """A picture, and a writer of masks."""
    Image.fromarray(rgb_of()).save(tmp_path / "room.png")
    folder = tmp_path / "masks"
    folder.mkdir()

    def write(**masks):
        for name, mask in masks.items():
            Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(folder / f"{name}.png")
        return folder

    return tmp_path / "room.png", write


def test_a_folder_and_a_label_picture_say_the_same(files, tmp_path):
    picture, write = files
    chair, table = box(5, 5, 20, 30), box(40, 20, 80, 50)
    (tmp_path / "masks" / "notes.txt").write_text("no mask")
    found = read_scene_picture(picture, write(chair=chair, table=table))
    assert found.names == ("chair", "table") and found.warnings == ()
    labels = np.zeros((60, 90, 3), np.uint8)
    labels[chair], labels[table] = (0, 0, 200), (255, 0, 10)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    same = read_scene_picture(picture, tmp_path / "labels.png")
    assert same.names == ("#0000c8", "#ff000a")
    np.testing.assert_array_equal(found.masks, same.masks)
    Image.fromarray(chair.astype(np.uint8) + 2 * table.astype(np.uint8)).save(tmp_path / "numbers.png")
    np.testing.assert_array_equal(read_scene_picture(picture, tmp_path / "numbers.png").masks, found.masks)
    # The square that networks see keeps the picture's shape.
    assert found.pixels(32).shape == (3, 32, 32) and not found.pixels(32)[:, :4].any()
    assert found.mask_pixels(30)[1, 5 + 10, 20] and not found.mask_pixels(30)[0, 15, 20]
    assert found.crop(0).rgba[..., 3].any()


def test_masks_that_are_no_good_cost_their_object_alone(files, tmp_path):
    picture, write = files
    folder = write(
        good=box(5, 5, 20, 30),
        empty=box(0, 0, 0, 0),
        other=box(0, 0, 20, 20, shape=(30, 30)),
        hidden=box(40, 40, 50, 50),
        hider=box(40, 40, 50, 50),
    )
    (folder / "torn.png").write_bytes(b"no picture")
    found = read_scene_picture(picture, folder)
    assert "good" in found.names and len(found) == 2
    said = "\n".join(found.warnings)
    for words in (
        "empty is left out: its mask covers 0 px",
        "other is left out: its mask has 30x30 px and the picture 90x60",
        "torn is left out",
        "is left out: other masks cover all of it",
        "100 px belonged to several masks",
    ):
        assert words in said


def test_overlaps_go_to_the_smaller_mask_and_the_thirteenth_object_is_left_out():
    small, large = box(10, 10, 20, 20), box(5, 5, 50, 40)
    found = as_scene_picture(rgb_of(), [large, small], ["large", "small"])
    assert found.names == ("large", "small") and found.masks[1].sum() == 100
    assert not (found.masks[0] & found.masks[1]).any() and found.masks[0].sum() == large.sum() - 100
    many = [box(7 * number, 5, 7 * number + 6, 20 + (number != 4)) for number in range(12)]
    many.append(box(0, 30, 80, 50))
    found = as_scene_picture(rgb_of(), many, [f"n{number}" for number in range(13)])
    assert len(found) == MAX_OBJECTS and "n4 left out: a scene has at most 12" in found.warnings[0]


def test_large_and_portrait_pictures_are_scaled_with_their_masks():
    mask = box(100, 2000, 900, 4000, shape=(6000, 1000))
    rgb = np.zeros((6000, 1000, 3), np.uint8)
    rgb[mask] = 200
    found = as_scene_picture(rgb, [mask], ["tall"])
    assert found.rgb.shape == (1024, 171, 3) and found.masks.shape == (1, 1024, 171)
    assert found.masks.mean() == pytest.approx(mask.mean(), abs=0.01)


def test_what_shows_no_object_is_refused(files, tmp_path):
    picture, write = files
    folder = write()
    with pytest.raises(ImageError, match="has no masks; give a picture an object"):
        read_scene_picture(picture, folder)
    with pytest.raises(ImageError, match=r"no object is left \(empty is left out"):
        read_scene_picture(picture, write(empty=box(0, 0, 0, 0)))
    with pytest.raises(ImageError, match=r"has 5,\d+ colors; a label picture has one an object"):
        read_scene_picture(picture, picture)
    with pytest.raises(ImageError, match="does not exist"):
        read_scene_picture(picture, tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="the picture shows nothing"):
        as_scene_picture(np.full((60, 90, 3), 7, np.uint8), [box(1, 1, 30, 30)], ["one"])
