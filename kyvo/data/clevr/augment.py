"""Pictures as another camera would have taken them: exposure, colour and fall-off of the light, focus and noise.

A ray tracer's pictures are all of one hand. What reads them is to read real ones too, which were rendered by another
program, scaled down by an unknown one and perhaps compressed in between. Nothing here moves what is to be seen.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from kyvo.data.corruptions import jpeg, narrow, noisy
from kyvo.tokenizers.image import fit

SEEN = "seen_codes"  # the column of such pictures' codes, beside the plain ones

EXPOSURE = 0.10  # stops of difference up to this, in natural logarithms
TINT = 0.04  # likewise, of each colour by itself
FALL_OFF = 0.10  # likewise, from the middle to the left or right edge, and to the upper or lower one
GAMMA = 0.10  # likewise, of the exponent
BLUR = 0.6  # px, standard deviation at most
NOISE = 0.015  # of full scale, standard deviation at most

REACH = 2  # px, of the blur

# Of `degrade`:
WIDTHS = (0.45, 0.85)  # of the picture's, that it is reduced to
COARSE_NOISE = 10  # of 255, standard deviation at most
FILE_WIDTHS = (1.5, 4.5)  # of the picture's, that it is compressed at
QUALITIES = (8, 60)  # of JPEG


def augment_pixels(
    pixels: Float[Tensor, "batch 3 height width"], generator: torch.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """The pictures, in [0, 1], each under an exposure, tint, fall-off, gamma, blur and noise of its own.

    `generator` is of the pictures' device.
    """
    count, _, height, width = pixels.shape
    device = pixels.device

    def drawn(*shape: int) -> Tensor:
        """Uniform in [-1, 1]."""
        return 2 * torch.rand(count, *shape, generator=generator, device=device) - 1

    across = torch.linspace(-1, 1, width, device=device) * drawn(1, 1, 1)
    down = torch.linspace(-1, 1, height, device=device)[:, None] * drawn(1, 1, 1)
    gain = torch.exp(EXPOSURE * drawn(1, 1, 1) + TINT * drawn(3, 1, 1) + FALL_OFF * (across + down))
    light = pixels ** torch.exp(GAMMA * drawn(1, 1, 1)) * gain
    light = _blurred(light, BLUR * drawn(1).abs())
    noise = torch.randn(pixels.shape, generator=generator, device=device)
    return (light + NOISE * drawn(1, 1, 1).abs() * noise).clamp(0, 1)


def augment(
    picture: UInt8[np.ndarray, "height width 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """`augment_pixels` of one picture."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    pixels = torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None]
    seen = augment_pixels(pixels, generator)[0].permute(1, 2, 0)
    return (seen * 255).round().byte().numpy()


def degrade_share(
    pictures: UInt8[Tensor, "batch height width 3"], share: float, generator: torch.Generator
) -> UInt8[Tensor, "batch height width 3"]:
    """The pictures, each with this probability degraded (`degrade`). `generator` is of the pictures' device."""
    pictures = pictures.clone()
    worn = torch.rand(len(pictures), generator=generator, device=pictures.device) < share
    for index in worn.nonzero()[:, 0].tolist():
        seed = torch.randint(2**62, (), generator=generator, device=pictures.device)
        picture = degrade(pictures[index].cpu().numpy(), np.random.default_rng(int(seed)))
        pictures[index] = torch.from_numpy(picture.copy())
    return pictures


def augment_share(
    pixels: Float[Tensor, "batch 3 height width"], share: float, generator: torch.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """The pictures, each with this probability as another camera would have taken it (`augment_pixels`)."""
    pixels = pixels.clone()
    other = torch.rand(len(pixels), generator=generator, device=pixels.device) < share
    pixels[other] = augment_pixels(pixels[other], generator)
    return pixels


def degrade(
    picture: UInt8[np.ndarray, "height width 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture as a file of it may have become on its way: reduced, noisy and compressed, one or two of these.

    Files are compressed at sizes of their own and reduced afterwards, so that of a JPEG's blocks little is left.
    """
    height, width = picture.shape[:2]
    chosen = rng.choice(3, size=rng.integers(1, 3), replace=False)
    if 0 in chosen:
        picture = narrow(picture, round(width * rng.uniform(*WIDTHS)))
    if 1 in chosen:
        picture = noisy(picture, rng.uniform(0, COARSE_NOISE))
    if 2 in chosen:
        picture = narrow(picture, round(width * rng.uniform(*FILE_WIDTHS)))
        picture = jpeg(picture, int(rng.integers(*QUALITIES)))
    return fit(picture, width, height)


def _blurred(pixels: Tensor, sigma: Float[Tensor, "batch 1"]) -> Tensor:
    """Each picture under a Gaussian of its own, [batch, 1] px; edges are repeated."""
    steps = torch.arange(-REACH, REACH + 1, device=pixels.device)
    weights = torch.exp(-0.5 * (steps / sigma.clamp(min=1e-2)) ** 2)
    weights = (weights / weights.sum(1, keepdim=True))[..., None, None, None].unbind(1)
    for axis in (2, 3):
        size = pixels.shape[axis]
        around = F.pad(pixels, (0, 0, REACH, REACH) if axis == 2 else (REACH, REACH, 0, 0), mode="replicate")
        pixels = sum(weight * around.narrow(axis, place, size) for place, weight in enumerate(weights))  # type: ignore[assignment]
    return pixels
