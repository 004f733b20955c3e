"""SceneGen's losses on poses (https://arxiv.org/abs/2508.15769): how far they are off, and how much assets collide."""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

GRID = 64  # voxels along the scene's longest side, as `kyvo.metrics.geometry` has them
POSE_DELTA = 0.02  # of Huber's loss
COLLISION_DELTA = 0.05


def pose_loss(
    found: Float[Tensor, "assets 8"], true: Float[Tensor, "assets 8"], scene_size: Float[Tensor, " assets"]
) -> Float[Tensor, ""]:
    """Huber's loss of translation over the scene's size, quaternion up to its sign, and scale; zero for no asset."""
    if not len(found):
        return found.sum()
    sign = torch.where((found[:, 3:7] * true[:, 3:7]).sum(1, keepdim=True) < 0, -1.0, 1.0)
    error = found - torch.cat([true[:, :3], sign * true[:, 3:7], true[:, 7:]], dim=1)
    error = torch.cat([error[:, :3] / scene_size[:, None], error[:, 3:]], dim=1)
    return F.huber_loss(error, torch.zeros_like(error), delta=POSE_DELTA)


def place_points(
    points: Float[Tensor, "assets points 3"], poses: Float[Tensor, "assets 8"]
) -> Float[Tensor, "assets points 3"]:
    """Points of each asset's cube where its pose puts them (`kyvo.scene.pose.Pose.apply`)."""
    w, axis = poses[:, None, 3:4], poses[:, None, 4:7].expand_as(points)
    across = 2 * torch.linalg.cross(axis, points, dim=2)
    turned = points + w * across + torch.linalg.cross(axis, across, dim=2)
    return poses[:, None, :3] + poses[:, None, 7:] * turned


def collision_share(points: Float[Tensor, "assets points 3"], *, grid: int = GRID) -> Float[Tensor, ""]:
    """Share of a scene's occupied surface voxels that more than one asset occupies, with gradients.

    As `kyvo.metrics.geometry.collision_ratio`, but a point counts for the eight voxels around it by its nearness, so
    that the share changes with the points' places. Points in the middle of voxels give that figure exactly.
    """
    flat = points.detach().flatten(0, 1)
    low, side = flat.min(0).values, (flat.max(0).values - flat.min(0).values).max().clamp(min=1e-6)
    place = ((points - low) / side * grid - 0.5).clamp(0, grid - 1)  # in voxels, from the middle of the first
    corner = place.detach().floor().clamp(max=grid - 2)
    part = place - corner
    weights, voxels = [], []
    for step in itertools.product((0, 1), repeat=3):
        weights.append(
            torch.stack([part[..., axis] if step[axis] else 1 - part[..., axis] for axis in range(3)]).prod(0)
        )
        x, y, z = (corner + corner.new_tensor(step)).long().unbind(2)
        voxels.append((x * grid + y) * grid + z)
    # Only voxels near a point count: a few thousand of the grid's.
    found, voxel = torch.cat(voxels, dim=1).unique(return_inverse=True)
    occupied = points.new_zeros(len(points), len(found)).scatter_add(1, voxel, torch.cat(weights, dim=1)).clamp(max=1)
    none = (1 - occupied).prod(0)
    one = torch.zeros_like(none)
    for index in range(len(points)):
        others = torch.cat([occupied[:index], occupied[index + 1 :]])
        one = one + occupied[index] * (1 - others).prod(0)
    return (1 - none - one).sum() / (1 - none).sum()


def collision_loss(
    points: Float[Tensor, "assets points 3"], poses: Float[Tensor, "assets 8"], scene_of: Int[Tensor, " assets"]
) -> Float[Tensor, ""]:
    """Huber's loss of each scene's share, averaged over the scenes."""
    placed = place_points(points, poses)
    shares = torch.stack([collision_share(placed[scene_of == scene]) for scene in scene_of.unique()])
    return F.huber_loss(shares, torch.zeros_like(shares), delta=COLLISION_DELTA)
