"""Image metrics: SSIM, L2 and PSNR, over the whole picture and around each object.

SSIM is that of Wang et al., 2004 (https://doi.org/10.1109/TIP.2003.819861): a Gaussian window of 11 x 11 pixels, sigma
1.5, K1 = 0.01, K2 = 0.03, on each channel of RGB; the figure is the mean over the channels and over the windows that
lie inside the picture. Other settings give other figures: `released_ssim` and `released_l2` are those of the released
Kyvo scripts (grey, a uniform window of 7 x 7, the range of the generated picture).

A picture of a few small objects is mostly floor, and its SSIM hardly notices that one of them is wrong.
`object_crops` cuts a square around each, in which it does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy.ndimage import correlate1d, uniform_filter

from kyvo.errors import ImageError
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

WINDOW = 11  # px
SIGMA = 1.5  # px
K1, K2 = 0.01, 0.03
PEAK = 255.0
RELEASED_WINDOW = 7  # px, uniform
GRAY = (0.2125, 0.7154, 0.0721)  # ITU-R BT.709 luma, on the stored (sRGB) values
MARGIN = 1.25  # side of an object's square over the diameter of its projected bounding sphere

STANDARD: Mapping[str, str] = {
    "name": "standard",
    "ssim": "Gaussian window 11 px, sigma 1.5, K1 0.01, K2 0.03, RGB, range 255, windows inside the picture",
    "l2": "mean squared difference, RGB in [0, 1]",
    "psnr": "RGB, peak 255; equal pictures have none and are counted apart",
}
RELEASED: Mapping[str, str] = {
    "name": "release",
    "ssim": "uniform window 7 px, sample covariance, K1 0.01, K2 0.03, grey in [0, 1], range of the generated picture",
    "l2": "mean squared difference, grey in [0, 1]",
    "psnr": STANDARD["psnr"],
}

Picture = UInt8[np.ndarray, "_ _ 3"]  # sRGB, rows first; sizes are checked below, where the message says them


def psnr(ours: Picture, theirs: Picture) -> float:
    """Peak signal to noise ratio over all pixels and channels, dB; infinite for equal pictures.

    Raises ImageError where the sizes differ.
    """
    _check_sizes(ours, theirs)
    error = np.mean((ours.astype(float) - theirs) ** 2)
    return float(10 * np.log10(PEAK**2 / error)) if error else float("inf")


def l2(ours: Picture, theirs: Picture) -> float:
    """Mean squared difference over pixels and channels, values in [0, 1]; what Kyvo's paper calls L2, in colour.

    Raises ImageError where the sizes differ.
    """
    _check_sizes(ours, theirs)
    return float(np.mean((ours.astype(float) - theirs) ** 2)) / PEAK**2


def ssim(ours: Picture, theirs: Picture) -> float:
    """Mean structural similarity, at most 1, which equal pictures have.

    Raises ImageError where the sizes differ or a side is shorter than the window.
    """
    _check_sizes(ours, theirs)
    if min(ours.shape[:2]) < WINDOW:
        height, width = ours.shape[:2]
        raise ImageError(f"SSIM's window is {WINDOW} px and the pictures have {width}x{height}; give larger ones.")
    x, y = ours.astype(float), theirs.astype(float)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance = _blurred(x * x) - mean_x**2 + _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(numerator / ((mean_x**2 + mean_y**2 + c1) * (variance + c2))))


def released_l2(ours: Picture, theirs: Picture) -> float:
    """L2 as the released script has it: mean squared difference of the grey pictures in [0, 1].

    Raises ImageError where the sizes differ and the generated picture, `ours`, is not square.
    """
    x, y = _released_pair(ours, theirs)
    return float(np.mean((x - y) ** 2))


def released_ssim(ours: Picture, theirs: Picture) -> float:
    """SSIM as the released script has it; `ours` is the generated picture, whose range it is divided by.

    It is not symmetric. Raises ImageError as `released_l2`, and where `ours` has one grey value or a side below 7 px.
    """
    x, y = _released_pair(ours, theirs)
    if min(x.shape) < RELEASED_WINDOW:
        raise ImageError(
            f"SSIM's window is {RELEASED_WINDOW} px and the pictures have {x.shape[1]}x{x.shape[0]}; give larger ones."
        )
    if not np.ptp(x):
        raise ImageError("the generated picture has one grey value; the released SSIM divides by its range.")
    size = RELEASED_WINDOW**2
    mean_x, mean_y = _window_means(x), _window_means(y)
    unbiased = size / (size - 1)
    variance = unbiased * (_window_means(x * x) - mean_x**2 + _window_means(y * y) - mean_y**2)
    covariance = unbiased * (_window_means(x * y) - mean_x * mean_y)
    c1, c2 = (K1 * np.ptp(x)) ** 2, (K2 * np.ptp(x)) ** 2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(numerator / ((mean_x**2 + mean_y**2 + c1) * (variance + c2))))


@dataclass(frozen=True, kw_only=True)
class ObjectCrop:
    """Where an object is seen: `side` x `side` pixels from `top` and `left`, all inside the picture."""

    index: int  # of the object in its scene
    left: int
    top: int
    side: int

    def cut(self, picture: Picture) -> Picture:
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def object_crops(scene: Scene, camera: Camera) -> list[ObjectCrop]:
    """A square around each object whose centre `camera` sees; objects outside the picture have none.

    The side is 1.25 times the diameter of the object's projected bounding sphere, at least SSIM's window and at most
    the picture's shorter side; a square that would leave the picture is moved inside. The sphere's radius is CLEVR's
    for a `size`, else half the diagonal of `dimensions`; an object with neither has no crop.
    """
    crops = []
    for index, item in enumerate(scene.objects):
        radius = _radius(item)
        if radius is None or item.location is None:
            continue
        column, row, depth = camera.project(np.asarray([item.location]))[0]
        if depth <= 0 or not (0 <= column < camera.width and 0 <= row < camera.height):
            continue
        shorter = min(camera.width, camera.height)
        side = min(max(round(2 * MARGIN * camera.focal * radius / depth), WINDOW), shorter)
        left, top = (
            int(np.clip(round(center - side / 2), 0, length - side))
            for center, length in ((column, camera.width), (row, camera.height))
        )
        crops.append(ObjectCrop(index=index, left=left, top=top, side=side))
    return crops


def _radius(item: SceneObject) -> float | None:
    if item.size in CLEVR_RADIUS:
        return CLEVR_RADIUS[item.size]
    return None if item.dimensions is None else float(np.linalg.norm(item.dimensions)) / 2


def _released_pair(ours: Picture, theirs: Picture) -> tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_ _"]]:
    """Both grey in [0, 1]; the truth bicubically in the generated picture's size, after the conversion."""
    x, y = ((picture / PEAK) @ np.asarray(GRAY) for picture in (ours, theirs))
    if x.shape == y.shape:
        return x, y
    if x.shape[0] != x.shape[1]:
        raise ImageError(
            f"the generated picture has {x.shape[1]}x{x.shape[0]} px and the true one {y.shape[1]}x{y.shape[0]}; "
            "the released script resizes to square pictures only."
        )
    resized = Image.fromarray(y.astype(np.float32)).resize((x.shape[1], x.shape[0]), Image.Resampling.BICUBIC)
    return x, np.asarray(resized, dtype=float)


def _window_means(picture: np.ndarray) -> np.ndarray:
    edge = RELEASED_WINDOW // 2
    return uniform_filter(picture, RELEASED_WINDOW)[edge:-edge, edge:-edge]


def _blurred(picture: np.ndarray) -> np.ndarray:
    """Weighted means over the windows inside the picture."""
    edge = WINDOW // 2
    weights = np.exp(-((np.arange(WINDOW) - edge) ** 2) / (2 * SIGMA**2))
    for axis in (0, 1):
        picture = correlate1d(picture, weights / weights.sum(), axis=axis)
    return picture[edge:-edge, edge:-edge]


def _check_sizes(ours: np.ndarray, theirs: np.ndarray) -> None:
    if ours.shape != theirs.shape:
        sizes = " and ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in (ours, theirs))
        raise ImageError(f"the two pictures have {sizes} px; only pictures of one size are compared.")
