"""Turns of objects: what the head learns, and which turn the comparison finds."""

import math

import numpy as np
import pytest
import torch
from tiny_generators import COND, tiny_generator

pytest.importorskip("open3d")

from kyvo.data.object_pictures import ObjectPicture, cut_out
from kyvo.models.heads.turn_head import NUM_TURNS, TurnHead, TurnHeadConfig
from kyvo.pipelines.turns import find_turn
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.pictures import side_camera
from kyvo.shapes.surfaces import surface_asset
from kyvo.shapes.training_meshes import draw_mesh
from kyvo.shapes.views import DISTANCE, MeshViews

TOKENS = torch.zeros(4, COND)


def apart(one: float, other: float) -> float:
    return abs((one - other + math.pi) % (2 * math.pi) - math.pi)


@pytest.fixture(scope="module")
def surface():
    return extract_mesh(surface_latent(draw_mesh(seed=3, index=1), resolution=32))


def seen_under(surface, turn: float) -> ObjectPicture:
    """The crop of a surface that is turned, from a camera that looks down 30 degrees."""
    camera = side_camera(-90 - math.degrees(turn), elevation=30, distance=DISTANCE, size=96)
    return cut_out(np.round(255 * MeshViews(surface_asset(surface)).picture(camera)).astype(np.uint8))


@pytest.mark.parametrize("turn", [0.5, 2.2, 4.4])
def test_the_turn_of_a_crop_is_found_by_comparison(surface, turn):
    found = find_turn(tiny_generator(), surface, seen_under(surface, turn), TOKENS).turn
    assert apart(found, turn) <= 2 * math.pi / NUM_TURNS


def test_the_object_that_a_crop_shows_is_nearer_than_another(surface):
    other = extract_mesh(surface_latent(draw_mesh(seed=3, index=2), resolution=32))
    crop = seen_under(surface, 0.5)
    own, others = (find_turn(tiny_generator(), one, crop, TOKENS).distance for one in (surface, other))
    assert own < others


def test_what_the_head_is_sure_of_counts_more_than_the_comparison(surface):
    head = TurnHead(TurnHeadConfig(channels=COND)).eval()
    with torch.no_grad():
        head.read[-1].bias[7] = 1000.0
    found = find_turn(tiny_generator(turn_head=head), surface, seen_under(surface, 0.5), TOKENS).turn
    assert found == pytest.approx(7 * 2 * math.pi / 24)


def test_the_head_learns_turns_that_tokens_tell():
    torch.manual_seed(0)
    head = TurnHead(TurnHeadConfig(channels=COND, dropout=0.0))
    turns = 2 * math.pi * torch.rand(256)
    tokens = torch.zeros(256, 4, COND)
    tokens[:, 0, 0], tokens[:, 0, 1] = turns.cos(), turns.sin()
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(150):
        loss = head.loss(tokens, turns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = head.turns[head(tokens).argmax(1)]
    assert (torch.cos(found - turns) > math.cos(math.radians(30))).float().mean() > 0.95
    assert head(tokens).exp().sum(1).allclose(torch.ones(256))
