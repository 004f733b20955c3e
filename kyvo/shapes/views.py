"""Pictures of one mesh from around it: cameras on a sphere, and what their rays meet first.

https://arxiv.org/abs/2412.01506, appendix on data: 150 views from distance 2 with 40 degrees, on a Hammersley set.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.mesh_files import to_srgb
from kyvo.data.meshes.mesh_renderer import surface_color
from kyvo.data.meshes.rays import ray_scene
from kyvo.models.slat.gaussians import Camera

DISTANCE = 2.0  # of the cameras from the centre of the cube
FIELD_OF_VIEW = math.radians(40)
AMBIENT, DIRECT = 0.55, 0.45  # light from everywhere, and from above and the camera's side
RAYS = 1 << 20  # cast together


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What one ray through the centre of each pixel meets first; zeros where it meets nothing."""

    hit: Bool[np.ndarray, "height width"]
    depth: Float[np.ndarray, "height width"]  # along the camera's axis
    positions: Float[np.ndarray, "height width 3"]
    normals: Float[np.ndarray, "height width 3"]  # unit, towards the camera; smooth where the mesh is
    colors: Float[np.ndarray, "height width 3"]  # linear base color, without light


def sphere_cameras(
    count: int, *, size: int, offset: tuple[float, float] = (0.0, 0.0), distance: float = DISTANCE
) -> list[Camera]:
    """`count` cameras on the sphere that look at the origin with z upwards, three quarters of them from above.

    Args:
        size: of the square pictures, px.
        offset: shifts the set; draw it from [0, 1)^2 for views that differ from object to object.
    """
    cameras = []
    for index in range(count):
        mirrored = sum((index >> bit & 1) / 2 ** (bit + 1) for bit in range(index.bit_length()))
        u, v = (index + offset[0]) / count, (mirrored + offset[1]) % 1
        u = 2 * u if u < 0.25 else 2 * u / 3 + 1 / 3  # a quarter of the set looks from below
        height, turn = 2 * u - 1, 2 * math.pi * v
        across = math.sqrt(max(0.0, 1 - height**2))
        place = torch.tensor([across * math.cos(turn), across * math.sin(turn), height])
        cameras.append(Camera.look_at_origin(distance * place, field_of_view=FIELD_OF_VIEW, size=size))
    return cameras


class MeshViews:
    """A mesh ready for rays."""

    def __init__(self, mesh: Asset) -> None:
        self.mesh = mesh
        self.scene = ray_scene(mesh.triangles)

    def view(self, camera: Camera) -> View:
        """One ray a pixel."""
        origin, directions = (part.double().numpy() for part in camera.rays())
        parts = []
        for start in range(0, len(directions), RAYS):
            part = directions[start : start + RAYS]
            found = self.scene.first_hits(np.broadcast_to(origin, part.shape), part)
            parts.append((found.distance, found.triangle, found.weights))
        reach, faces, weights = (np.concatenate(column) for column in zip(*parts, strict=True))

        hit = np.isfinite(reach)
        faces, weights = faces[hit], weights[hit, :, None]
        normals = (self.mesh.normals[faces] * weights).sum(1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        normals[(normals * directions[hit]).sum(1) > 0] *= -1
        axis = camera.world_to_camera[2, :3].double().numpy()
        values = {
            "depth": reach[hit] * (directions[hit] @ axis),
            "positions": origin + reach[hit, None] * directions[hit],
            "normals": normals,
            "colors": surface_color(self.mesh, faces, weights),
        }
        shape = (camera.height, camera.width)
        maps = {}
        for name, value in values.items():
            full = np.zeros((len(hit), *value.shape[1:]))
            full[hit] = value
            maps[name] = full.reshape(*shape, *value.shape[1:])
        return View(hit=hit.reshape(shape), **maps)

    def picture(self, camera: Camera, *, samples: int = 2, lit: bool = True) -> Float[np.ndarray, "height width 4"]:
        """sRGB and opacity in [0, 1] from samples x samples rays a pixel; the color is not multiplied by the opacity.

        Args:
            lit: by light from everywhere and some from the camera's upper side; without, the base color.
        """
        fine = replace(
            camera,
            focal=(camera.focal[0] * samples, camera.focal[1] * samples),
            center=(camera.center[0] * samples, camera.center[1] * samples),
            width=camera.width * samples,
            height=camera.height * samples,
        )
        view = self.view(fine)
        light = -camera.world_to_camera[2, :3].double().numpy() + (0, 0, 1)
        length = np.linalg.norm(light)
        light = light / length if length > 1e-6 else np.array([0.0, 0.0, 1.0])
        shade = AMBIENT + DIRECT * np.clip(view.normals @ light, 0, None) if lit else np.ones(view.hit.shape)
        rgba = np.concatenate([view.colors * shade[..., None], np.ones((*view.hit.shape, 1))], axis=2)
        rgba *= view.hit[..., None]
        rgba = rgba.reshape(camera.height, samples, camera.width, samples, 4).mean((1, 3))
        color = rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-9)
        return np.concatenate([to_srgb(np.clip(color, 0, 1)), rgba[..., 3:]], axis=2)
