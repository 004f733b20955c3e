"""From files of codes or of latents to latents, and from those to surfaces and Gaussians.

Surface features are decoded without weights (kyvo/shapes/contour.py). TRELLIS's latents need one of its decoders, which
the user has: `kyvo.models.slat.load.load_network`. They can be looked at without one, as their cells.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kyvo.errors import ConfigError, TokenError
from kyvo.models.slat.decoders import SLatGaussianDecoder, SLatMeshDecoder
from kyvo.models.slat.flexicubes import Surface
from kyvo.models.slat.gaussians import Gaussians
from kyvo.models.slat.latent import RESOLUTION, StructuredLatent
from kyvo.shapes.code_files import CodeFile, ShapeCodes, is_code_file
from kyvo.shapes.contour import CHANNELS, SurfaceSplats, extract_mesh, octahedra
from kyvo.shapes.mesh import CubeTransform
from kyvo.shapes.tokenizer import ShapeTokenizer

CELL_REACH = 0.6  # of a cell; half axis of the octahedra that show cells


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedLatent:
    """An object as a file has it."""

    name: str
    latent: StructuredLatent
    place: CubeTransform | None = None


def read_latents(path: Path, tokenizer: ShapeTokenizer) -> list[NamedLatent]:
    """The objects of a file of codes, or the one of an `.npz` of a latent.

    Raises:
        TokenError: codes of another tokenizer, or a file of codes that cannot be read.
        CheckpointError, LatentError: a latent that cannot be read.
    """
    if not is_code_file(path):
        latent = StructuredLatent.load(path, resolution=RESOLUTION)
        if latent.feats.shape[1] == CHANNELS:  # the file does not say its grid; ours have the tokenizer's
            latent = replace(latent, resolution=tokenizer.config.resolution)
        return [NamedLatent(name=path.stem, latent=latent)]
    found = CodeFile.load(path)
    if found.tokenizer != tokenizer.sha256:
        raise TokenError(
            f"{path}: its codes are of the shape tokenizer {found.tokenizer[:12]}..., and this one is "
            f"{tokenizer.sha256[:12]}.... Give the tokenizer that encoded it."
        )
    return [_decode(item, tokenizer, where=f"{path}: objects[{index}]") for index, item in enumerate(found.objects)]


def _decode(item: ShapeCodes, tokenizer: ShapeTokenizer, *, where: str) -> NamedLatent:
    try:
        (latent,) = tokenizer.decode(item.codes[None])
    except TokenError as error:
        raise TokenError(f"{where}: {error}") from error
    return NamedLatent(name=item.name, latent=latent, place=item.place)


def decode_surface(latent: StructuredLatent, decoder: nn.Module | None = None) -> Surface:
    """The mesh of a latent.

    Args:
        decoder: TRELLIS's mesh decoder, for its latents.

    Raises:
        ConfigError: the latent needs a decoder of another kind.
    """
    if latent.feats.shape[1] == CHANNELS:
        return extract_mesh(latent)
    if not isinstance(decoder, SLatMeshDecoder):
        raise _needs("mesh", "slat_dec_mesh_swin8_B_64l8m256c_fp16", decoder)
    return _run(decoder, latent)


def decode_gaussians(latent: StructuredLatent, decoder: nn.Module | None = None) -> Gaussians:
    """As `decode_surface`, with TRELLIS's Gaussian decoder."""
    if latent.feats.shape[1] == CHANNELS:
        return SurfaceSplats()(latent.to_sparse())[0]
    if not isinstance(decoder, SLatGaussianDecoder):
        raise _needs("Gaussian", "slat_dec_gs_swin8_B_64l8gs32_fp16", decoder)
    return _run(decoder, latent)


@torch.inference_mode()
def _run(decoder: nn.Module, latent: StructuredLatent) -> Any:
    (found,) = decoder(latent.to_sparse(next(decoder.parameters()).device))
    return found


def _needs(kind: str, name: str, decoder: nn.Module | None) -> ConfigError:
    found = "none was given" if decoder is None else f"this one is a {type(decoder).__name__}"
    return ConfigError(
        f"TRELLIS's latents become this through its {kind} decoder, and {found}. Pass --decoder FOLDER/{name}."
    )


def show_cells(latent: StructuredLatent) -> Surface:
    """The active cells as octahedra, colored by their first three features: a latent that nothing decodes."""
    faces, tips = octahedra(latent.centers, CELL_REACH / latent.resolution)
    feats = latent.feats.float()[:, :3]
    low, high = feats.quantile(0.02, dim=0), feats.quantile(0.98, dim=0)
    colors = ((feats - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return Surface(vertices=tips, faces=faces, attributes=colors.repeat_interleave(6, 0))
