"""A batched ray tracer for CLEVR's pictures in plain torch: solids on a floor, rubber and metal, three area lamps.

It takes tensors and gives pictures; it knows of no scene files, needs no display, and runs where its tensors are.
There is no chance in it: sub-pixel and lamp samples lie on fixed grids, so the same batch gives the same bytes.

Camera rays leave one point, and shadow rays are followed backwards from one point of a lamp: both are the fast case
of `kyvo.data.clevr.primitives`. Only the rays that metal mirrors are not.

Axes: z up, the floor is z = 0, lengths in CLEVR's units. The scene is that of https://arxiv.org/abs/1612.06890; the
brightness constants below were fitted to pictures of CLEVR v1.0.
"""

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from kyvo.data.clevr.primitives import (
    NOTHING,
    SceneBatch,
    length,
    nearest,
    normals,
    pairs_from_point,
    pairs_from_surfaces,
)

CHUNK = {"cpu": 4, "cuda": 50}  # scenes traced at a time: on a CPU few, so that they stay in its cache
FARTHEST = 60.0  # where rays at or above the horizon end

LAMPS = ((6.44671, -2.90517, 4.2584), (-4.67112, -4.0136, 3.01122), (-1.1685, 2.64602, 5.81574))  # key, fill, back
LAMP_SIDE = (1.0, 1.0, 1.0)  # square area lamps that face the origin
LAMP_POWER = ((8.4, 7.8, 6.7), (1.86, 2.02, 2.54), (4.08, 4.08, 4.08))  # linear RGB of a white surface at distance 1
AMBIENT = (0.2, 0.2, 0.2)
FLOOR_ALBEDO = 0.66
SKY = (0.03, 0.03, 0.03)  # what mirrors see above the horizon
SHARPNESS = (12.0, 200.0)  # exponents of the highlights of rubber and metal
HIGHLIGHT = (0.02, 10.0)  # their strength
METAL_DIFFUSE, METAL_MIRROR = 0.15, 0.75
RUBBER_DIFFUSE = 0.94


@torch.inference_mode()
def render(scenes: SceneBatch, *, width: int, height: int, samples: int = 2) -> UInt8[Tensor, "batch height width 3"]:
    """Pictures of the scenes, with `samples` x `samples` rays a pixel."""
    parts = [_render_chunk(part, width, height, samples) for part in scenes.split(CHUNK[scenes.camera.device.type])]
    return torch.cat(parts) if parts else torch.zeros(0, height, width, 3, dtype=torch.uint8)


@torch.inference_mode()
def visible_fraction(scenes: SceneBatch, *, width: int, height: int, chunk: int = 16) -> Float[Tensor, "batch objects"]:
    """The part of the picture that shows each object; one ray a pixel, no shading."""
    fractions = []
    for part in scenes.split(chunk):
        _, primitive = _first_hits(part, part.camera, _camera_rays(part, width, height, 1))
        counts = torch.bincount(primitive[primitive != NOTHING], minlength=part.valid.numel())
        fractions.append(counts.view_as(part.valid) / (width * height))
    return torch.cat(fractions)


@torch.inference_mode()
def floor_points(
    scenes: SceneBatch, *, width: int, height: int, samples: int = 2
) -> tuple[Float[Tensor, "batch samples 2 pixels"], Bool[Tensor, "batch samples pixels"]]:
    """Where the `samples` x `samples` rays of each pixel come to the floor, and whether nothing stands before it."""
    rows, rays = scenes.repeat(samples**2), _camera_rays(scenes, width, height, samples)
    distance, primitive = _first_hits(rows, rows.camera, rays)
    points = rows.camera[:, :2, None] + rays[:, :2] * distance[:, None]
    bare = (primitive == NOTHING) & (distance < FARTHEST)
    return points.unflatten(0, (len(scenes), -1)), bare.unflatten(0, (len(scenes), -1))


def srgb(light: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Linear light as sRGB codes it."""
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def linear(coded: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Inverse of `srgb`."""
    return torch.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _render_chunk(scenes: SceneBatch, width: int, height: int, samples: int) -> Tensor:
    rays = _camera_rays(scenes, width, height, samples)
    rows = scenes.repeat(samples**2)
    light = _shade(rows, rays, samples)
    light = light.view(len(scenes), samples**2, 3, -1).mean(1)
    return (
        (srgb(light) * 255 + 0.5)
        .clamp(0, 255)
        .to(torch.uint8)
        .view(-1, 3, height, width)
        .permute(0, 2, 3, 1)
        .contiguous()
    )


def _camera_rays(scenes: SceneBatch, width: int, height: int, samples: int) -> Float[Tensor, "rows 3 rays"]:
    """Unit directions through the pixels, one row for each (scene, sub-pixel sample)."""
    device = scenes.camera.device
    steps = (torch.arange(samples, device=device) + 0.5) / samples
    columns = (torch.arange(width, device=device) + steps[:, None]) / width - 0.5  # samples width
    lines = (torch.arange(height, device=device) + steps[:, None] - height / 2) / width
    shape = (samples, samples, height, width)
    plane = torch.stack([columns[None, :, None, :].expand(shape), lines[:, None, :, None].expand(shape)], dim=2)
    plane = plane.reshape(samples**2, 2, height * width) / scenes.focal[:, None, None, None]  # batch samples^2 2 rays
    seen = torch.cat([plane, torch.ones_like(plane[:, :, :1])], dim=2)
    seen = seen / length(seen, 2)[:, :, None]
    return (scenes.axes.transpose(1, 2)[:, None] @ seen).flatten(0, 1)


def _first_hits(scenes: SceneBatch, origin: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
    """How far rays from `origin` [rows, 3] go to a solid or the floor, and the solid or NOTHING; [rows, rays]."""
    distance = _to_floor(origin[:, 2:], rays[:, 2])
    primitive = nearest(pairs_from_point(scenes, origin, rays), distance.view(-1))
    return distance, primitive.view_as(distance)


def _to_floor(height: Tensor, slope: Tensor) -> Tensor:
    """Distance to the floor for rays that start at `height` and rise by `slope` per unit."""
    return torch.where(slope < -1e-3, -height / slope.clamp_max(-1e-3), FARTHEST).clamp_max(FARTHEST)


def _occluded(scenes: SceneBatch, lamp: Tensor, rays: Tensor, primitive: Tensor, reach: Tensor) -> Tensor:
    """Whether a solid other than the one hit stands between `lamp` [rows, 3] and the point at `reach`."""
    shadow = torch.zeros(reach.numel(), dtype=torch.bool, device=rays.device)
    limit, own = reach.flatten(), primitive.flatten()
    for ray, blocker, enter in pairs_from_point(scenes, lamp, rays):
        shadow[ray[(enter < limit[ray]) & (blocker != own[ray])]] = True
    return shadow.view_as(reach)


def _lamp_points(lamps: Float[Tensor, "rows 3 3"], samples: int) -> Float[Tensor, "rows 3 3"]:
    """A point on each lamp for each row: the rows of a scene share out the cells of a grid over the lamp."""
    facing = -lamps / lamps.norm(dim=2, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0], device=lamps.device).expand_as(facing)
    across = torch.linalg.cross(facing, up)
    across = across / across.norm(dim=2, keepdim=True)
    along = torch.linalg.cross(facing, across)
    cells = torch.arange(len(lamps), device=lamps.device) % samples**2
    steps = torch.stack([cells % samples, cells // samples], dim=1) + 0.5
    offsets = (steps / samples - 0.5)[:, None] * torch.tensor(LAMP_SIDE, device=lamps.device)[:, None]  # rows 3 2
    return lamps + offsets[..., :1] * across + offsets[..., 1:] * along


def _shade(scenes: SceneBatch, rays: Tensor, samples: int) -> Float[Tensor, "rows 3 rays"]:
    """Linear light along camera rays: lamps with shadows on everything, one mirror reflection on metal."""
    distance, primitives = _first_hits(scenes, scenes.camera, rays)
    points = scenes.camera[..., None] + rays * distance[:, None]
    row, pixel = (primitives != NOTHING).nonzero().unbind(1)
    primitive = primitives[row, pixel]
    seen, place = rays[row, :, pixel].T, points[row, :, pixel].T  # 3 surfaces
    normal = normals(scenes, primitive, place)
    metal = scenes.metal.flatten()[primitive]
    sharpness, strength = _per_material(metal, SHARPNESS), _per_material(metal, HIGHLIGHT)

    light = _constant(AMBIENT, rays).view(3, 1).repeat(len(rays), 1, 1).expand_as(rays).clone()
    shine = torch.zeros_like(place)
    lamps = _lamp_points(scenes.lamps, samples)
    for index, power in enumerate(LAMP_POWER):
        lamp = lamps[:, index]
        to_lamp = lamp[..., None] - points
        reach = length(to_lamp, 1)
        to_lamp = to_lamp / reach[:, None]
        arriving = _arriving(to_lamp, reach, lamp)
        arriving = arriving.masked_fill_(_occluded(scenes, lamp, -to_lamp, primitives, reach), 0)
        lamp_side, lit = to_lamp[row, :, pixel].T, arriving[row, pixel]
        facing = (normal * lamp_side).sum(0).clamp_min(0)
        half = lamp_side - seen
        gloss = ((normal * half).sum(0) / length(half, 0)).clamp_min(0) ** sharpness
        power = _constant(power, rays)
        shine += power[:, None] * (strength * gloss * lit * (facing > 0))
        floor_lit = to_lamp[:, 2] * arriving
        floor_lit[row, pixel] = facing * lit
        light += power[:, None] * floor_lit[:, None]

    color = _colors(scenes, primitive)
    surface = light[row, :, pixel].T * color
    surface = torch.where(metal, surface * METAL_DIFFUSE + shine * color, surface * RUBBER_DIFFUSE + shine)
    mirrors = metal.nonzero()[:, 0]
    surface[:, mirrors] += (
        METAL_MIRROR
        * color[:, mirrors]
        * _mirrored(scenes, row[mirrors], primitive[mirrors], place[:, mirrors], seen[:, mirrors], normal[:, mirrors])
    )
    light *= FLOOR_ALBEDO
    light[row, :, pixel] = surface.T
    return light


def _arriving(to_lamp: Tensor, reach: Tensor, lamp: Tensor) -> Tensor:
    """What reaches points at distance `reach` of a lamp that faces the origin, before the point's own cosine."""
    axis = lamp / lamp.norm(dim=1, keepdim=True)
    return (axis[:, None] @ to_lamp)[:, 0].clamp_min(0) / reach.square()


def _mirrored(
    scenes: SceneBatch, row: Tensor, primitive: Tensor, place: Tensor, seen: Tensor, normal: Tensor
) -> Float[Tensor, "3 n"]:
    """Light that comes along the mirrored rays: from the floor, another object or the sky; without their shadows."""
    ray = seen - 2 * (normal * seen).sum(0) * normal
    distance = _to_floor(place[2], ray[2])
    hit = nearest(pairs_from_surfaces(scenes, row, primitive, place, ray), distance)
    on_object = hit != NOTHING
    points = place + ray * distance
    upward = torch.zeros_like(points)
    upward[2] = 1
    target = hit.clamp_min(0)
    normal = torch.where(on_object, normals(scenes, target, points), upward)
    light = _constant(AMBIENT, ray)[:, None].expand_as(points).clone()
    for index, power in enumerate(LAMP_POWER):
        lamp = scenes.lamps[:, index][row].T
        to_lamp = lamp - points
        reach = length(to_lamp, 0)
        facing = ((normal * to_lamp).sum(0) / reach).clamp_min(0)
        outward = ((lamp * to_lamp).sum(0) / (length(lamp, 0) * reach)).clamp_min(0)
        light += _constant(power, ray)[:, None] * (facing * outward / reach.square())
    light = light * torch.where(on_object, _colors(scenes, target), FLOOR_ALBEDO)
    sky = (ray[2] > -1e-3) & ~on_object
    return torch.where(sky, _constant(SKY, ray)[:, None], light)


def _colors(scenes: SceneBatch, primitive: Tensor) -> Float[Tensor, "3 n"]:
    return scenes.color.flatten(0, 1)[primitive].T


def _per_material(metal: Tensor, values: tuple[float, float]) -> Tensor:
    """`values` are (rubber's, metal's)."""
    return torch.where(metal, values[1], values[0])


def _constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device)
