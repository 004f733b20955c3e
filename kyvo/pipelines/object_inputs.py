"""What edits of objects begin with: the latent of a mesh file or of an `.npz`, and the region of a closed mesh."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.errors import ConfigError
from kyvo.models.slat.latent import RESOLUTION, StructuredLatent
from kyvo.pipelines.object_editing import mesh_region
from kyvo.pipelines.objects import ObjectGenerator
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import CHANNELS
from kyvo.shapes.mesh import CubeTransform, load_placed
from kyvo.shapes.voxelize import voxelize


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectInput:
    """An object as a generator takes it, and where its mesh stood."""

    latent: StructuredLatent
    place: CubeTransform | None = None  # of a mesh; a latent has none


@dataclass(frozen=True, kw_only=True)
class LatentKind:
    """What latents a generator works on."""

    resolution: int = RESOLUTION
    channels: int = CHANNELS

    @classmethod
    def of(cls, generator: ObjectGenerator) -> "LatentKind":
        config = generator.slat_flow.config
        return cls(resolution=config.resolution, channels=config.in_channels)


def read_object(path: Path | str, kind: LatentKind, *, up_axis: str | None = None) -> ObjectInput:
    """A mesh file's surface features, or the latent of an `.npz`, on the generator's grid.

    Raises:
        AssetError, LatentError, CheckpointError: the file cannot be read, or has no surface.
        ConfigError: the generator makes TRELLIS's latents, which a mesh has to be encoded for.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        return ObjectInput(latent=StructuredLatent.load(path, resolution=kind.resolution))
    if kind.channels != CHANNELS:
        raise ConfigError(
            f"{path} is a mesh, and this generator works on TRELLIS's latents. Encode it by "
            "kyvo.shapes.dino.encode_mesh and give the .npz."
        )
    mesh, place = load_placed(path, up_axis=up_axis)
    return ObjectInput(latent=surface_latent(mesh, resolution=kind.resolution), place=place)


def read_region(path: Path | str, item: ObjectInput, *, up_axis: str | None = None) -> Bool[Tensor, "x y z"]:
    """The cells that a closed mesh holds, in the frame of the file that the object came from.

    Of an object without a place, the mesh stands in the object's own frame: the cube of side 1 about the origin, z up.

    Raises:
        AssetError: the mesh cannot be read, or lies beside the object.
    """
    mesh, own = load_placed(path, up_axis=up_axis)
    world = own.to_world(mesh.triangles)
    if item.place is not None:
        world = item.place.to_cube(world)
    resolution = item.latent.resolution
    if (world.max((0, 1)) < -0.5).any() or (world.min((0, 1)) > 0.5).any():
        raise AssetError(f"{path}: the region lies beside the object. Place it in the frame of the object's file.")
    cells = voxelize(np.clip(world, -0.5, 0.5), resolution=resolution)
    return mesh_region(cells, resolution=resolution)
