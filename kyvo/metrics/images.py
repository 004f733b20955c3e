"""How alike two pictures are: PSNR, and SSIM with the window of its paper.

SSIM is that of Wang et al., 2004 (https://doi.org/10.1109/TIP.2003.819861): a Gaussian window of 11 x 11 pixels, sigma
1.5, K1 = 0.01, K2 = 0.03, on each channel of RGB; the figure is the mean over the channels and over the windows that
lie inside the picture. Other settings (a uniform window, grey pictures) give other figures.
"""

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import correlate1d

from kyvo.errors import ImageError

WINDOW = 11  # px
SIGMA = 1.5  # px
K1, K2 = 0.01, 0.03
PEAK = 255.0

Picture = UInt8[np.ndarray, "_ _ 3"]  # sRGB, rows first; sizes are checked below, where the message says them


def psnr(ours: Picture, theirs: Picture) -> float:
    """Peak signal to noise ratio over all pixels and channels, dB; infinite for equal pictures.

    Raises ImageError where the sizes differ.
    """
    _check_sizes(ours, theirs)
    error = np.mean((ours.astype(float) - theirs) ** 2)
    return float(10 * np.log10(PEAK**2 / error)) if error else float("inf")


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
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + c1) * (variance + c2))))


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
