"""Primitives of the procedural library: boxes, cylinders and other solids as triangles, and colors of materials.

z is up and lengths are units of which a person is about 1.15 tall.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Triangles = Float[np.ndarray, "faces 3 3"]
Color = tuple[int, int, int]  # sRGB, 0 to 255


class Part(NamedTuple):
    """A part of one color, and what it is called: "round top", "four legs"."""

    triangles: Triangles
    color: Color
    name: str


Builder = Callable[[np.random.Generator], list[Part]]

SEGMENTS = 24  # around anything round
COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}  # as names of parts begin

WOOD: tuple[Color, ...] = ((139, 94, 60), (110, 72, 45), (170, 124, 80), (94, 62, 45))
FABRIC: tuple[Color, ...] = ((176, 58, 46), (44, 94, 146), (58, 122, 86), (198, 148, 60), (120, 84, 140), (92, 98, 108))
PAINT: tuple[Color, ...] = ((196, 40, 36), (30, 90, 170), (236, 180, 40), (238, 238, 234), (40, 130, 90), (50, 54, 60))
GLASS: tuple[Color, ...] = ((44, 110, 66), (120, 74, 34), (70, 132, 160))
SKIN: tuple[Color, ...] = ((241, 194, 160), (198, 140, 100), (130, 84, 58))
HAIR: tuple[Color, ...] = ((40, 30, 26), (104, 66, 36), (206, 162, 92))
LEAVES: tuple[Color, ...] = ((62, 120, 52), (88, 140, 54), (44, 98, 60))
CERAMIC: tuple[Color, ...] = ((238, 238, 234), (170, 60, 50), (40, 90, 150), (60, 120, 90), (220, 170, 60))
STONE: tuple[Color, ...] = ((150, 146, 140), (186, 178, 166), (110, 108, 106))
IRON: Color = (52, 56, 60)
STEEL: Color = (150, 154, 160)


def pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[int(rng.integers(len(colors)))]


def box(x: float, y: float, z: float, *, at: tuple[float, float, float] = (0, 0, 0)) -> Triangles:
    """A box of these sides whose bottom's centre is `at`."""
    corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (0, 1)]) * (x, y, z) + at
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))  # outward
    return corners[[[q[a], q[b], q[c]] for q in quads for a, b, c in ((0, 1, 2), (0, 2, 3))]]


def lathe(*profile: tuple[float, float], at: tuple[float, float, float] = (0, 0, 0)) -> Triangles:
    """(radius, height) points, from the bottom up, turned about the vertical axis through `at`; ends are closed."""
    points = [(0.0, profile[0][1]), *profile, (0.0, profile[-1][1])]
    turn = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rings = [np.column_stack([ring * radius, np.full(SEGMENTS, height)]) for radius, height in points]
    faces = []
    for low, high in pairwise(rings):
        low_next, high_next = np.roll(low, -1, 0), np.roll(high, -1, 0)
        faces += [np.stack([low, low_next, high_next], 1), np.stack([low, high_next, high], 1)]
    triangles = np.concatenate(faces)
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    return triangles[area > 1e-9] + at


def ball(x: float, y: float, z: float, *, at: tuple[float, float, float] = (0, 0, 0)) -> Triangles:
    """An ellipsoid of these half axes with its centre `at`."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 13)
    return lathe(*zip(np.cos(turn), np.sin(turn), strict=True)) * (x, y, z) + at


def rod(start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Triangles:
    """A round rod between two points."""
    axis = np.subtract(end, start)
    length = float(np.linalg.norm(axis))
    forward = axis / length
    side = np.cross(forward, (1.0, 0, 0) if abs(forward[0]) < 0.9 else (0, 1.0, 0))
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(forward, side), forward])
    return lathe((radius, 0), (radius, length)) @ frame + start


def four_legs(x: float, y: float, height: float, radius: float) -> Triangles:
    """Four legs at (+-x, +-y)."""
    corners = [(i * x, j * y) for i in (-1, 1) for j in (-1, 1)]
    return np.concatenate([lathe((radius * 0.8, 0), (radius, height), at=(i, j, 0)) for i, j in corners])


def joined(*solids: Float[np.ndarray, "_ 3 3"]) -> Float[np.ndarray, "_ 3 3"]:
    return np.concatenate(solids)


def upright_to(triangles: Triangles, axis: str) -> Triangles:
    """What stands along z, laid along x or y."""
    return triangles[..., [2, 0, 1]] if axis == "x" else triangles[..., [1, 2, 0]]


def some_legs(rng: np.random.Generator, *, reach: float, height: float, radius: float, count: int) -> Triangles:
    """`count` legs on a circle, somewhat spread."""
    turns = 2 * np.pi * np.arange(count) / count + np.pi / 4
    spread = rng.uniform(1.0, 1.25)
    rods = []
    for x, y in zip(reach * np.cos(turns), reach * np.sin(turns), strict=True):
        rods.append(rod((spread * x, spread * y, 0), (x, y, height), radius))
    return joined(*rods)
