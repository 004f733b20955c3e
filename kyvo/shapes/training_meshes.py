"""Meshes drawn from a seed, to train shape tokenizers on: things of the procedural library and free assemblies.

The library's fourteen kinds of things are too few to learn shape from; half of the meshes are one to five solids,
turned bodies, shells and lumps, put together anyhow. All are turned about the up axis, stretched and colored anew.
"""

from collections.abc import Sequence

import numpy as np
import trimesh
from jaxtyping import Float

from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.mesh_files import to_linear
from kyvo.data.meshes.procedural import BUILDERS
from kyvo.shapes.mesh import normalized

Triangles = Float[np.ndarray, "faces 3 3"]

LIBRARY_SHARE = 0.5  # of meshes that are things of the library
KEPT_COLORS = 0.3  # share of those that keep the colors of their kind
STRETCH = (0.75, 1.33)  # of each axis


def draw_mesh(*, seed: int, index: int) -> Asset:
    """Mesh `index` of a set, in TRELLIS's cube; the same for the same two numbers."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    if rng.random() < LIBRARY_SHARE:
        kind = list(BUILDERS)[int(rng.integers(len(BUILDERS)))]
        parts = [(part.triangles, np.array(part.color) / 255) for part in BUILDERS[kind](rng)]
        if rng.random() > KEPT_COLORS:
            parts = [(triangles, rng.random(3)) for triangles, _ in parts]
    else:
        kind = "assembly"
        parts = [(_placed(_solid(rng), rng), rng.random(3)) for _ in range(int(rng.integers(1, 6)))]
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else np.pi / 2 * rng.integers(4)
    # Stretched along its own axes before it is turned.
    stretch = np.diag(rng.uniform(*STRETCH, size=3))
    return assembled(parts, name=f"{kind}-{index:06}", category=kind, transform=stretch @ _turn(turn))


def assembled(
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    name: str,
    category: str,
    transform: Float[np.ndarray, "3 3"],
) -> Asset:
    """One mesh in the cube of parts with their sRGB colors in [0, 1]; corners are rows times `transform`."""
    triangles = np.concatenate([part for part, _ in parts]) @ transform
    colors = np.concatenate([np.broadcast_to(to_linear(color), part.shape) for part, color in parts])
    return normalized(
        Asset(
            name=name,
            category=category,
            triangles=triangles,
            colors=colors,
            uv=np.zeros((len(triangles), 3, 2)),
            texture=np.full(len(triangles), -1),
        )
    )


def _turn(angle: float) -> Float[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def _placed(triangles: Triangles, rng: np.random.Generator) -> Triangles:
    """Scaled, turned and moved at random, near the origin; half of them stay upright."""
    sizes = rng.uniform(0.1, 0.6, size=3) if rng.random() < 0.6 else np.full(3, rng.uniform(0.15, 0.5))
    turn = np.eye(3) if rng.random() < 0.5 else trimesh.transformations.random_rotation_matrix(rng.random(3))[:3, :3]
    return triangles / np.ptp(triangles, axis=(0, 1)).max() * sizes @ turn.T + rng.uniform(-0.35, 0.35, size=3)


def _solid(rng: np.random.Generator) -> Triangles:
    """One of seven kinds of bodies, about the origin."""
    match int(rng.integers(7)):
        case 0:
            mesh = trimesh.creation.box()
        case 1:
            mesh = trimesh.creation.cylinder(radius=1, height=rng.uniform(0.2, 4), sections=int(rng.integers(3, 33)))
        case 2:
            mesh = trimesh.creation.cone(radius=1, height=rng.uniform(0.5, 4), sections=int(rng.integers(3, 33)))
        case 3:
            mesh = trimesh.creation.torus(major_radius=1, minor_radius=rng.uniform(0.1, 0.5))
        case 4:
            mesh = trimesh.creation.capsule(radius=1, height=rng.uniform(0, 4))
        case 5:
            mesh = _turned_body(rng)
        case _:
            mesh = _lump(rng)
    triangles = np.asarray(mesh.triangles, dtype=float)
    return triangles - (triangles.min((0, 1)) + triangles.max((0, 1))) / 2


def _turned_body(rng: np.random.Generator) -> trimesh.Trimesh:
    """A profile turned about z: a closed vase, or a shell that is open at its top, as a cup or a bowl."""
    count = int(rng.integers(3, 9))
    heights = np.concatenate([[0], np.sort(rng.uniform(0, 1, count - 2)), [1]]) * rng.uniform(0.3, 2.5)
    profile = np.column_stack([rng.uniform(0.2, 1, count), heights])
    ends = [[(0.0, heights[0])], profile]
    if rng.random() < 0.5:
        ends.append([(0.0, heights[-1])])
    return trimesh.creation.revolve(np.concatenate(ends), sections=32)


def _lump(rng: np.random.Generator) -> trimesh.Trimesh:
    """A sphere whose radius waves along a few directions: fruit, stones, heads."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    points = np.array(mesh.vertices)
    waves = rng.normal(size=(6, 3)) * 2
    bumps = np.cos(points @ waves.T + rng.uniform(0, 2 * np.pi, 6)) @ rng.uniform(0, 0.12, 6)
    return trimesh.Trimesh(points * (1 + bumps)[:, None], mesh.faces, process=False)
