"""Pictures as another camera would have taken them: exposure, colour of the light, focus and noise.

A ray tracer's pictures are all of one hand. What reads them is to read real ones too, which were rendered by another
program, scaled down by an unknown one and perhaps compressed in between. Nothing here moves what is to be seen.
"""

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import gaussian_filter

SEEN = "seen_codes"  # the column of such pictures' codes, beside the plain ones

EXPOSURE = 0.10  # stops of difference up to this, in natural logarithms
TINT = 0.04  # likewise, of each colour by itself
GAMMA = 0.10  # likewise, of the exponent
BLUR = 0.6  # px, standard deviation at most
NOISE = 0.015  # of full scale, standard deviation at most


def augment(
    picture: UInt8[np.ndarray, "height width 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture under a drawn exposure, tint, gamma, blur and noise."""
    gain = np.exp(rng.uniform(-EXPOSURE, EXPOSURE) + rng.uniform(-TINT, TINT, size=3))
    gamma = np.exp(rng.uniform(-GAMMA, GAMMA))
    blur, noise = rng.uniform(0, BLUR), rng.uniform(0, NOISE)
    light = (picture / 255.0) ** gamma * gain
    light = gaussian_filter(light, sigma=(blur, blur, 0)) + noise * rng.standard_normal(picture.shape)
    return (light.clip(0, 1) * 255).round().astype(np.uint8)
