"""The second look: its geometry is the scene's own camera's, and what is beside an object in the batch is not seen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from kyvo.errors import CheckpointError
from kyvo.models.heads.refiner import (
    REFINER_NAME,
    Refiner,
    RefinerConfig,
    extended,
    from_frames,
    load_refiner,
    project,
    save_refiner,
    to_frames,
    unproject,
)
from kyvo.scene.schema import CLEVR_CAMERA, CLEVR_FOCAL, clevr_camera
from kyvo.testing import tiny_refiner

numbers = st.floats(-3, 3, width=32)
jitter = st.floats(-0.5, 0.5, width=32)


def objects(count: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Pixels, words, locations and valid rows of two pictures with `count` objects each."""
    rng = torch.Generator().manual_seed(seed)
    words = torch.stack([torch.randint(size, (2, count), generator=rng) for size in (2, 8, 2, 3)], dim=-1)
    places = 4 * torch.rand(2, count, 3, generator=rng) - 2
    return torch.rand(2, 3, 16, 24, generator=rng), words, places, torch.ones(2, count, dtype=torch.bool)


@given(moved=st.tuples(jitter, jitter, jitter), point=st.tuples(numbers, numbers, st.floats(0.125, 1, width=32)))
def test_points_are_seen_where_the_scenes_camera_sees_them_and_met_again(moved, point):
    location = tuple(np.add(CLEVR_CAMERA, moved))
    camera, points = torch.tensor([location]).float(), torch.tensor([[point]])
    seen = project(camera, points, focal=CLEVR_FOCAL)
    column, row, depth = clevr_camera(120, 80, location).project(np.array([point]))[0]
    expected = [(column - 60) / 120, (row - 40) / 120, depth]
    np.testing.assert_allclose(seen[0, 0].numpy(), expected, rtol=1e-4, atol=1e-5)
    again = unproject(camera, seen[..., :2], points[..., 2], focal=CLEVR_FOCAL)
    torch.testing.assert_close(again, points, rtol=0, atol=1e-4)
    met = clevr_camera(120, 80, location).at_heights(np.array([[column, row]]), np.array([point[2]]))
    np.testing.assert_allclose(met, [point], rtol=0, atol=1e-4)


@given(roll=st.floats(-1, 1, width=32), zoom=st.floats(-0.5, 0.5, width=32), point=st.tuples(numbers, numbers))
def test_a_frame_is_that_of_a_turned_camera(roll, zoom, point):
    points, frame = torch.tensor([[[*point, 0.7]]]), torch.tensor([[roll, zoom]])
    seen = project(torch.tensor([CLEVR_CAMERA]), points, focal=CLEVR_FOCAL)[..., :2]
    framed = to_frames(frame, seen)
    camera = clevr_camera(120, 80).turned(roll=roll, zoom=np.exp(zoom))
    expected = camera.project(points[0].numpy())[0, :2]
    np.testing.assert_allclose(framed[0, 0].numpy() * 120 + (60, 40), expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(from_frames(frame, framed), seen, rtol=0, atol=1e-5)


def test_geometry_is_exact_under_autocast():
    camera, points = torch.tensor([CLEVR_CAMERA]), torch.tensor([[[1.03, -2.71, 0.7]]])
    with torch.autocast("cpu", torch.bfloat16):
        seen = project(camera, points, focal=CLEVR_FOCAL)
        again = unproject(camera, seen[..., :2], points[..., 2], focal=CLEVR_FOCAL)
    torch.testing.assert_close(again, points, rtol=0, atol=1e-5)


def test_at_first_objects_stay_where_they_are_expected():
    refiner = Refiner(RefinerConfig(words=(2, 8, 2, 3), width=24, height=16, side=8, channels=(8, 8), dim=16, layers=1))
    pixels, words, locations, valid = objects(3)
    torch.testing.assert_close(refiner(pixels, words, locations, valid).locations, locations, rtol=0, atol=1e-4)


def test_rows_that_are_no_objects_change_nothing():
    refiner = tiny_refiner()
    pixels, words, locations, valid = objects(4)
    valid[:, 2:] = False
    padded = refiner(pixels, words, locations, valid)
    alone = refiner(pixels, words[:, :2], locations[:, :2], valid[:, :2])
    torch.testing.assert_close(padded.locations[:, :2], alone.locations, rtol=0, atol=1e-5)
    torch.testing.assert_close(padded.cameras, alone.cameras, rtol=0, atol=1e-5)
    for logits, own in zip(padded.words, alone.words, strict=True):
        torch.testing.assert_close(logits[:, :2], own, rtol=0, atol=1e-5)


def test_it_looks_at_the_pixels_around_an_object_and_at_its_words():
    refiner = tiny_refiner()
    torch.nn.init.zeros_(refiner.picture[-1].weight)  # the picture as a whole
    pixels, words, locations, valid = objects(1)
    column, row = (refiner(pixels, words, locations, valid).centers[0, 0]).detach().round().long().tolist()
    before = refiner(pixels, words, locations, valid)
    near, far, renamed = pixels.clone(), pixels.clone(), words.clone()
    near[0, :, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] += 0.5
    far[0, :, :, (column + 12) % 24] += 0.5
    renamed[0, 0, 1] = (renamed[0, 0, 1] + 1) % 8
    for seen, named, differs in ((near, words, True), (far, words, False), (pixels, renamed, True)):
        after = refiner(seen, named, locations, valid)
        assert (not torch.allclose(after.locations[0], before.locations[0], atol=1e-6)) == differs
        torch.testing.assert_close(after.locations[1], before.locations[1], rtol=0, atol=1e-6)


def test_it_comes_back_as_it_was_saved(tmp_path):
    assert load_refiner(tmp_path) is None
    refiner = tiny_refiner()
    save_refiner(tmp_path, refiner)
    again = load_refiner(tmp_path)
    assert again.config == refiner.config
    for name, weight in refiner.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight.bfloat16().float(), rtol=0, atol=0)


@pytest.mark.parametrize("metadata", [None, {"config": '{"words": [2, 8, 2, 3]}'}, {"config": '{"wide": 1}'}])
def test_another_file_is_refused(tmp_path, metadata):
    save_file({"weight": torch.zeros(2)}, tmp_path / REFINER_NAME, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"is not what recipes/refiner.py writes"):
        load_refiner(tmp_path)


def test_a_refiner_with_more_words_reads_the_old_ones_as_before():
    refiner = tiny_refiner()
    grown = extended(refiner, (2, 9, 2, 4), frames=False)
    given_ = objects(3)
    before, after = refiner(*given_), grown(*given_)
    torch.testing.assert_close(after.locations, before.locations)
    torch.testing.assert_close(after.cameras, before.cameras)
    for old, new, count in zip(before.words, after.words, (2, 9, 2, 4), strict=True):
        assert new.shape[-1] == count
        torch.testing.assert_close(new[..., : old.shape[-1]], old)


@pytest.mark.parametrize("words", [(2, 8, 2), (2, 7, 2, 3)])
def test_words_are_not_taken_from_a_refiner(words):
    with pytest.raises(CheckpointError, match=r"fields of 2, 8, 2, 3 words and the schema of .* not be taken away"):
        extended(tiny_refiner(), words, frames=False)


def test_a_refiner_that_is_to_read_frames_begins_with_pictures_that_are_not_tilted():
    refiner, given_ = tiny_refiner(), objects(3)
    grown = extended(refiner, refiner.config.words, frames=True)
    assert grown.config.frames and not grown(*given_).frames.any()
    torch.testing.assert_close(grown(*given_).locations, refiner(*given_).locations)
    torch.nn.init.constant_(grown.frame.bias, 0.1)
    assert extended(grown, refiner.config.words, frames=False)(*given_).frames.min() > 0.09
