import numpy as np
import torch

from kyvo.data.clevr.augment import augment, augment_share, degrade, degrade_share


def pictures(count=40):
    ramp = np.linspace(40, 200, 30).astype(np.uint8)
    picture = np.broadcast_to(ramp[None, :, None], (20, 30, 3)).copy()
    return picture, [augment(picture, np.random.default_rng([0, number])) for number in range(count)]


def test_what_is_seen_stays_where_it_is():
    """A ramp stays the same ramp: exposure, tint, gamma, blur and noise change values and move nothing."""
    picture, seen = pictures()
    for other in seen:
        assert other.shape == picture.shape and other.dtype == np.uint8
        assert np.corrcoef(picture.reshape(-1), other.reshape(-1))[0, 1] > 0.97


def test_cameras_differ_in_brightness_colour_and_noise():
    _, seen = pictures()
    means = np.array([other.mean((0, 1)) for other in seen])
    assert means.mean(1).std() > 4  # of 255
    assert (means - means.mean(1, keepdims=True)).std() > 1.5
    rough = [np.abs(np.diff(other.astype(float), axis=0)).mean() for other in seen]  # rows of the ramp are alike
    assert min(rough) < 1 < 3 < max(rough)


def test_the_same_chances_give_the_same_picture():
    assert all(np.array_equal(one, other) for one, other in zip(pictures(5)[1], pictures(5)[1], strict=True))


def test_a_degraded_picture_loses_detail_and_moves_nothing():
    picture, _ = pictures(0)
    picture = np.kron(picture, np.ones((4, 4, 1), dtype=np.uint8))
    seen = [degrade(picture, np.random.default_rng(number)) for number in range(20)]
    for other in seen:
        assert other.shape == picture.shape and other.dtype == np.uint8
        assert 0.95 < np.corrcoef(picture.reshape(-1), other.reshape(-1))[0, 1] < 1
    assert len({other.tobytes() for other in seen}) == 20
    assert np.array_equal(seen[3], degrade(picture, np.random.default_rng(3)))


def test_a_share_of_the_pictures_is_changed_and_the_others_are_not():
    pictures = torch.randint(256, (40, 16, 24, 3), generator=torch.Generator().manual_seed(0)).byte()
    for change, given in ((degrade_share, pictures), (augment_share, pictures.permute(0, 3, 1, 2) / 255)):
        before, changed = given.clone(), change(given, 0.5, torch.Generator().manual_seed(1))
        assert 10 <= (changed != given).flatten(1).any(1).sum() <= 30 and torch.equal(given, before)
        torch.testing.assert_close(change(given, 0.0, torch.Generator().manual_seed(1)), given)
