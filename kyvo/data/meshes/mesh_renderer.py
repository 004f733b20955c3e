"""Pictures of meshes by ray casting: colors and textures, one sun with shadows, a floor and a sky.

kyvo/data/meshes/rays.py finds what a ray meets; everything else is numpy. Several rays a pixel, each with its own
place in the pixel and its own point of the sun's disc, smooth the edges and soften the shadows. The same scene gives
the same picture whatever the number of threads. Materials are matt and opaque.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from kyvo.data.meshes.assets import Asset, rotation_matrix
from kyvo.data.meshes.mesh_files import LooseMesh
from kyvo.data.meshes.mesh_parts import REPEAT, to_linear
from kyvo.data.meshes.rays import ray_scene
from kyvo.data.meshes.textures import sample
from kyvo.scene.scene import Camera, Vector

NOTHING, FLOOR = -1, -2  # in place of an object's index
SHIFT = 1e-4  # shadow rays begin this far off the surface, in scene units
SUN_WIDTH = 0.06  # radius of the sun's disc at distance 1: soft shadows


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedAsset:
    """An asset where it stands."""

    asset: Asset
    location: Vector  # centre of its box
    pose: Vector = (0.0, 0.0, 0.0)
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is around the objects. Colors are sRGB in [0, 1]."""

    sun: Vector = (-0.4, -0.75, 1.0)  # direction towards it, of any length
    sunlight: float = 0.75
    skylight: float = 0.42
    floor: Vector = (0.62, 0.62, 0.60)
    horizon: Vector = (0.80, 0.82, 0.84)
    zenith: Vector = (0.45, 0.62, 0.85)
    haze: float = 22.0  # distance at which the floor has faded by half into the horizon


def render(
    objects: Sequence[PlacedAsset], *, camera: Camera, setting: Environment, samples: int = 2
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture, with samples x samples rays a pixel."""
    caster = _RayCaster(objects)
    sun = np.asarray(setting.sun, dtype=float)
    sun = sun / np.linalg.norm(sun)
    # Taken from the vertical, so that the shadows do not change when scene and sun are turned about it.
    aside = np.cross(sun, (0.0, 0.0, 1.0) if abs(sun[2]) < 0.999 else (1.0, 0.0, 0.0))
    aside = aside / np.linalg.norm(aside)
    above = np.cross(sun, aside)
    total = np.zeros((camera.height, camera.width, 3))
    for number in range(samples**2):
        shift = ((number % samples + 0.5) / samples, (number // samples + 0.5) / samples)
        turn, reach = number * 2.39996, SUN_WIDTH * math.sqrt((number + 0.5) / samples**2)  # a sunflower's spiral
        light = sun + reach * (math.cos(turn) * aside + math.sin(turn) * above)
        total += caster.shade(_directions(camera, shift), camera, light / np.linalg.norm(light), setting)
    linear = np.clip(total / samples**2, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255 + 0.5).astype(np.uint8)


def visible(objects: Sequence[PlacedAsset], *, camera: Camera) -> Int[np.ndarray, "height width"]:
    """The index of the object in the middle of each pixel; NOTHING or FLOOR where there is none."""
    index = _RayCaster(objects).first(_directions(camera, (0.5, 0.5)), np.asarray(camera.location))[0]
    return index.reshape(camera.height, camera.width)


def _directions(camera: Camera, shift: tuple[float, float]) -> Float[np.ndarray, "pixels 3"]:
    """Unit directions of the rays through the point `shift` of every pixel, row by row."""
    row, column = np.mgrid[: camera.height, : camera.width].reshape(2, -1).astype(float)
    x = (column + shift[0] - camera.center[0]) / camera.focal
    y = (row + shift[1] - camera.center[1]) / camera.focal
    rays = np.stack([x, y, np.ones_like(x)], axis=1) @ np.asarray(camera.rotation)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


class _RayCaster:
    """The objects' triangles in the scene's frame, ready for rays."""

    def __init__(self, objects: Sequence[PlacedAsset]) -> None:
        self.objects = objects
        turns = [rotation_matrix(item.pose) for item in objects]
        triangles = [
            item.asset.triangles * item.scale @ turn.T + item.location
            for item, turn in zip(objects, turns, strict=True)
        ]
        self.normals = [item.asset.normals @ turn.T for item, turn in zip(objects, turns, strict=True)]
        self.starts = np.cumsum([0, *(len(part) for part in triangles)])  # of each object's triangles among all
        self.scene = ray_scene(np.concatenate(triangles or [np.zeros((1, 3, 3))]))  # without area: no ray meets it

    def first(self, rays: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, ...]:
        """What each ray meets first: object, distance, the object's triangle, weights of its corners."""
        hit = self.scene.first_hits(np.broadcast_to(start, rays.shape), rays)
        index = np.where(
            np.isfinite(hit.distance), np.searchsorted(self.starts, hit.triangle, side="right") - 1, NOTHING
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.where(rays[:, 2] < -1e-6, -start[2] / rays[:, 2], np.inf)
        on_floor = (floor > 0) & (floor < hit.distance)
        triangle = hit.triangle - np.where(index < 0, 0, self.starts[index])
        index = np.where(on_floor, FLOOR, index)
        return index, np.where(on_floor, floor, hit.distance), triangle, hit.weights

    def shade(self, rays: np.ndarray, camera: Camera, sun: np.ndarray, setting: Environment) -> np.ndarray:
        """Linear color seen along each ray, as [height, width, 3]."""
        start = np.asarray(camera.location, dtype=float)
        index, distance, triangle, weights = self.first(rays, start)
        horizon, zenith = (to_linear(np.asarray(color)) for color in (setting.horizon, setting.zenith))
        color = horizon + (zenith - horizon) * np.clip(rays[:, 2:], 0, 1) ** 0.6
        met = index != NOTHING
        albedo = np.empty_like(rays)
        normal = np.broadcast_to((0.0, 0.0, 1.0), rays.shape).copy()
        albedo[index == FLOOR] = to_linear(np.asarray(setting.floor))
        for number, item in enumerate(self.objects):
            here = np.flatnonzero(index == number)
            if not len(here):
                continue
            faces, shares = triangle[here], weights[here, :, None]
            bent = (self.normals[number][faces] * shares).sum(1)
            bent /= np.maximum(np.linalg.norm(bent, axis=1, keepdims=True), 1e-9)
            # Meshes are seen from both sides: some are open, and some are wound the wrong way round.
            normal[here] = np.where((bent * rays[here]).sum(1, keepdims=True) > 0, -bent, bent)
            albedo[here] = surface_color(item.asset, faces, shares)
        lit = np.zeros(len(rays))
        facing = np.clip(normal @ sun, 0, None)
        ask = np.flatnonzero(met & (facing > 0))
        point = start + rays[ask] * distance[ask, None] + normal[ask] * SHIFT * np.maximum(1, distance[ask, None])
        lit[ask] = facing[ask] * ~self.scene.occluded(point, np.broadcast_to(sun, point.shape))
        sky = 0.6 + 0.4 * normal[:, 2]  # less light from below
        shade = albedo * (setting.sunlight * lit + setting.skylight * sky)[:, None]
        far = np.where(index == FLOOR, 1 - 0.5 ** ((np.where(met, distance, 0) / setting.haze) ** 3), 0)[:, None]
        color = np.where(met[:, None], shade * (1 - far) + horizon * far, color)
        return color.reshape(camera.height, camera.width, 3)


def surface_color(asset: LooseMesh, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Linear color of the surface at these places: the corners' colors times the texture."""
    color = (asset.colors[faces] * weights).sum(1)
    uv = (asset.uv[faces] * weights).sum(1)
    texture = asset.texture[faces]
    for number, picture in enumerate(asset.textures):
        sampler = asset.samplers[number] if asset.samplers else REPEAT
        here = texture == number
        if here.any():
            color[here] = color[here] * to_linear(sample(picture, sampler, uv[here]) / 255)
    return color
