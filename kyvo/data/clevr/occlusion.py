"""Contact shadows: the light from all around that spheres keep from the floor beneath them.

The ray tracer's ambient light is the same everywhere, as if nothing stood in its way. In pictures of CLEVR v1.0 the
floor beneath a sphere, which no lamp reaches, has 0.31 of the light that it has in ray-traced ones (60 pictures, within
0.45 of the radius around the contact). Whoever learns from the latter what a sphere's lower edge looks like takes the
shadow for a part of the sphere, by 0.4 px of 120. Beneath cubes and cylinders the floor is hidden.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kyvo.data.clevr.primitives import SPHERE, SceneBatch
from kyvo.data.clevr.raytracer import AMBIENT, FLOOR_ALBEDO, floor_points, linear, srgb


@torch.inference_mode()
def with_contact_shadows(
    pictures: UInt8[Tensor, "batch height width 3"], scenes: SceneBatch
) -> UInt8[Tensor, "batch height width 3"]:
    """The scenes' ray-traced pictures with the light gone from the floor that its spheres keep from it."""
    _, height, width, _ = pictures.shape
    points, bare = floor_points(scenes, width=width, height=height)
    lost = (sky_hidden(points, scenes).clamp(max=1) * bare).mean(1)  # of a pixel's rays
    ambient = FLOOR_ALBEDO * torch.tensor(AMBIENT, device=pictures.device)
    light = linear(pictures.flatten(1, 2).float() / 255) - lost[..., None] * ambient
    return (srgb(light.clamp(min=0)) * 255).round().to(torch.uint8).view_as(pictures)


def sky_hidden(
    points: Float[Tensor, "batch samples 2 pixels"], scenes: SceneBatch
) -> Float[Tensor, "batch samples pixels"]:
    """The share of an even sky that spheres hide from points of the floor.

    That of a sphere of radius r whose centre is at the height h and the distance d is r^2 h / d^3 (J. R. Howell, A
    Catalog of Radiation Heat Transfer Configuration Factors, B-42).
    """
    hidden = torch.zeros_like(points[:, :, 0])
    for index in range(scenes.num_objects):  # one by one, for memory's sake
        position, radius = scenes.position[:, index], scenes.radius[:, index]
        square = (points - position[:, None, :2, None]).square().sum(2) + position[:, 2, None, None] ** 2
        is_sphere = scenes.valid[:, index] & (scenes.shape[:, index] == SPHERE)
        hidden += (is_sphere * radius**2 * position[:, 2])[:, None, None] / square**1.5
    return hidden
