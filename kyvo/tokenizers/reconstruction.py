"""Reconstruction losses of the image tokenizer: of pixels, of structure (SSIM), and of VGG16 features (LPIPS).

Pictures are float [B, 3, H, W] in [-1, 1]. LPIPS needs the user's weights, which are never downloaded; the structural
loss stands in for it where there are none.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kyvo.errors import CheckpointError
from kyvo.tokenizers.taming import read_tensors

Pixels = Float[Tensor, "batch 3 height width"]

WINDOW, SIGMA = 11, 1.5  # px, of SSIM's Gaussian (https://doi.org/10.1109/TIP.2003.819861)
C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # pixels span 2
MAX_SCALES = 4

# torchvision's numbers of VGG16's 3x3 convolutions; LPIPS reads each stage's last, and a pool of 2 px is between stages
VGG16_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
# LPIPS' own normalisation of pictures in [-1, 1]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def reconstruction_loss(output: Pixels, target: Pixels, *, contrast_weight: float, edge_weight: float) -> Tensor:
    """L1 + L2 that counts objects more than floor, plus the L1 of pixel-to-pixel differences.

    A scene is mostly smooth floor; its few object pixels carry the information. A pixel's weight grows with how
    far it is from the mean of its surroundings (17 px). Weights average about 1.
    """
    surroundings = F.avg_pool2d(target, 17, stride=1, padding=8, count_include_pad=False)
    contrast = (target - surroundings).abs().amax(1, keepdim=True)
    weight = 1.0 + contrast_weight * contrast
    weight = weight / weight.mean()
    error = output - target
    loss = (weight * (error.abs() + error.square())).mean()
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return loss + edge_weight * edges


def perceptual_loss(files: Sequence[Path]) -> nn.Module:
    """LPIPS from the weights in `files` together, or where there are none the structural loss.

    `about` of the module says which it is. Raises CheckpointError where the files lack a tensor.
    """
    if not files:
        return StructuralLoss()
    state: dict[str, Tensor] = {}
    for path in files:
        state |= _read_weights(path)
    try:
        return Lpips(state)
    except CheckpointError as error:
        raise CheckpointError(f"{', '.join(map(str, files))}: {error}") from error


class StructuralLoss(nn.Module):
    """1 - SSIM, the mean over the picture at full size, a half, a quarter and an eighth, as far as its window fits.

    It blames lost texture and edges and forgives small shifts of brightness, for which LPIPS is used too; unlike LPIPS
    it knows nothing of what people see as alike.
    """

    about = "structural loss (multi-scale SSIM), because train.lpips names no weights"
    weights: Tensor  # [WINDOW]

    def __init__(self) -> None:
        super().__init__()
        offsets = torch.arange(WINDOW) - WINDOW // 2
        weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
        self.register_buffer("weights", weights / weights.sum(), persistent=False)

    def forward(self, output: Pixels, target: Pixels) -> Float[Tensor, ""]:
        scores = []
        while min(output.shape[-2:]) >= WINDOW and len(scores) < MAX_SCALES:
            scores.append(self.ssim(output, target))
            output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
        if not scores:  # too small for the window: nothing to say
            return (output * 0).sum()
        return 1.0 - torch.stack(scores).mean()

    def ssim(self, output: Pixels, target: Pixels) -> Float[Tensor, ""]:
        """As `kyvo.metrics.images.ssim`: over channels and the windows inside the picture."""
        x, y = output + 1.0, target + 1.0  # SSIM compares brightnesses, which begin at 0
        mean_x, mean_y = self._blurred(x), self._blurred(y)
        variance = self._blurred(x.square()) + self._blurred(y.square()) - mean_x.square() - mean_y.square()
        covariance = self._blurred(x * y) - mean_x * mean_y
        numerator = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
        return (numerator / ((mean_x.square() + mean_y.square() + C1) * (variance + C2))).mean()

    def _blurred(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)[:, None]  # a picture of one channel each
        flat = F.conv2d(F.conv2d(flat, self.weights[None, None, :, None]), self.weights[None, None, None])
        return flat.unflatten(0, x.shape[:2])[:, :, 0]


class Lpips(nn.Module):
    """Learned perceptual distance with VGG16 (https://arxiv.org/abs/1801.03924, equation 1), mean over the batch.

    `state` has torchvision's names for the convolutions (`features.0.weight`) and the lpips package's for the linear
    heads (`lin0.model.1.weight`); other tensors are ignored. Nothing in it is trained.
    """

    about = "LPIPS (VGG16)"
    shift: Tensor  # [3, 1, 1]
    scale: Tensor

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        convolutions = [f"features.{index}" for stage in VGG16_STAGES for index in stage]
        heads = [f"lin{index}.model.1.weight" for index in range(len(VGG16_STAGES))]
        needed = [f"{name}.{part}" for name in convolutions for part in ("weight", "bias")] + heads
        missing = [name for name in needed if name not in state]
        if missing:
            raise CheckpointError(
                f"LPIPS lacks {missing[0]} ({len(missing)} of {len(needed)} tensors). Give torchvision's VGG16 and the "
                "lpips package's vgg.pth, or a checkpoint of taming-transformers, which has both."
            )
        self.stages = nn.ModuleList()
        for stage, head in zip(VGG16_STAGES, heads, strict=True):
            layers: list[nn.Module] = []
            channels = 0  # of the stage's last convolution
            for index in stage:
                kernel, bias = (state[f"features.{index}.{part}"].float() for part in ("weight", "bias"))
                layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
                layer.load_state_dict({"weight": kernel, "bias": bias})
                layers += [layer, nn.ReLU()]
                channels = len(bias)
            self.stages.append(nn.Sequential(*layers))
            if state[head].shape[1] != channels:
                raise CheckpointError(
                    f"{head} is for {state[head].shape[1]} channels and features.{stage[-1]} has {channels}: "
                    "the heads belong to another network than VGG16."
                )
        self.heads = nn.ParameterList(state[head].float() for head in heads)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, output: Pixels, target: Pixels) -> Float[Tensor, ""]:
        x, y = ((pixels - self.shift) / self.scale for pixels in (output, target))
        total = output.new_zeros(())
        for number, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            if number:
                x, y = F.max_pool2d(x, 2), F.max_pool2d(y, 2)
            x, y = stage(x), stage(y)
            # `normalize` has a gradient where all features are zero, and x / sqrt(x * x) has none.
            difference = F.normalize(x, dim=1, eps=1e-10) - F.normalize(y, dim=1, eps=1e-10)
            total = total + F.conv2d(difference.square(), head).mean()
        return total


def _read_weights(path: Path) -> dict[str, Tensor]:
    """A file's tensors, those of the lpips package and of taming under torchvision's names.

    Both call VGG16's convolutions `net.slice2.5`; taming's checkpoints hold them as `loss.perceptual_loss.net....`.
    """
    if path.suffix == ".safetensors":
        try:
            found = load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is missing or no safetensors file: {error}") from error
    else:
        found = read_tensors(path)
    names = (name.removeprefix("loss.perceptual_loss.") for name in found)
    names = (re.sub(r"^net\.slice\d\.", "features.", name) for name in names)
    return dict(zip(names, found.values(), strict=True))
