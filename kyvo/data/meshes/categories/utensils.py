"""Tableware and tools: cups, bowls, hammers, an umbrella."""

from itertools import pairwise

import numpy as np

from kyvo.data.meshes.primitives import (
    CERAMIC,
    FABRIC,
    IRON,
    PAINT,
    STEEL,
    WOOD,
    Color,
    Part,
    Triangles,
    ball,
    box,
    joined,
    lathe,
    pick,
    rod,
    upright_to,
)


def _handle(x: float, low: float, high: float, reach: float, radius: float) -> Triangles:
    """A bent handle that starts and ends at (x, 0)."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 7)
    middle, half = (low + high) / 2, (high - low) / 2
    points = [(x + reach * np.cos(turn), 0.0, middle + half * np.sin(turn)) for turn in turns]
    return joined(*(rod(start, end, radius) for start, end in pairwise(points)))


def mug(rng: np.random.Generator) -> list[Part]:
    tall, wide, color = rng.uniform(0.2, 0.3), rng.uniform(0.09, 0.13), pick(rng, PAINT)
    body = lathe((wide * 0.9, 0), (wide, 0.02), (wide, tall), (wide - 0.02, tall), (wide - 0.02, tall * 0.8))
    drink = lathe((wide - 0.02, tall * 0.78), (wide - 0.02, tall * 0.8))
    band = lathe((wide + 0.005, tall * 0.35), (wide + 0.005, tall * 0.6))
    parts = [
        Part(joined(body, _handle(wide - 0.01, tall * 0.2, tall * 0.8, 0.09, 0.02)), color, "handle"),
        Part(drink, pick(rng, ((94, 62, 45), (238, 238, 234))), "drink"),
    ]
    return [*parts, Part(band, pick(rng, PAINT), "band")] if rng.random() < 0.5 else parts


def bowl(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.2, 0.3), rng.uniform(0.12, 0.2)
    turns = np.linspace(0.2, np.pi / 2, 6)
    outside = [(wide * np.sin(turn), 0.03 + tall * (1 - np.cos(turn))) for turn in turns]
    inside = [((wide - 0.03) * np.sin(turn), 0.05 + tall * (1 - np.cos(turn))) for turn in turns[::-1]]
    body = lathe((0.1, 0), (0.1, 0.03), *outside, *inside)
    fruit = []
    for turn in np.arange(int(rng.integers(3, 6))) * 1.4:
        fruit.append(ball(0.07, 0.07, 0.07, at=(0.09 * np.cos(turn), 0.09 * np.sin(turn), 0.03 + tall * 0.75)))
    parts = [Part(body, pick(rng, (*CERAMIC, *WOOD)), "body")]
    return [*parts, Part(joined(*fruit), pick(rng, PAINT), "fruit")] if rng.random() < 0.6 else parts


def teapot(rng: np.random.Generator) -> list[Part]:
    color, wide = pick(rng, (*CERAMIC, STEEL)), rng.uniform(0.17, 0.22)
    body = ball(wide, wide, wide * rng.uniform(0.7, 1.0), at=(0, 0, wide))
    spout = joined(
        rod((wide * 0.7, 0, wide * 0.7), (wide * 1.4, 0, wide * 1.2), 0.04),
        rod((wide * 1.4, 0, wide * 1.2), (wide * 1.7, 0, wide * 1.8), 0.03),
    )
    lid = lathe((wide * 0.5, wide * 1.75), (wide * 0.4, wide * 1.9), (0.02, wide * 2.0))
    knob = ball(0.035, 0.035, 0.035, at=(0, 0, wide * 2.1))
    handle = _handle(wide * 0.85, wide * 0.5, wide * 1.5, 0.14, 0.025) * (-1, -1, 1)
    return [
        Part(joined(body, spout), color, "body and spout"),
        Part(joined(lid, knob), pick(rng, (color, *CERAMIC)), "lid"),
        Part(handle, pick(rng, (color, *WOOD)), "handle"),
    ]


def hammer(rng: np.random.Generator) -> list[Part]:
    tall = rng.uniform(0.6, 0.9)
    head = box(0.36, 0.14, 0.14, at=(0, 0, tall - 0.14))
    name = "square head"
    if rng.random() < 0.5:
        head = upright_to(lathe((0.08, -0.17), (0.08, 0.17)), "x") + np.array((0, 0, tall - 0.06))
        name = "round head"
    handle = lathe((0.045, 0), (0.035, tall * 0.5), (0.03, tall))
    grip = lathe((0.05, 0.0), (0.05, tall * 0.35))
    parts = [Part(head, pick(rng, (STEEL, IRON)), name), Part(handle, pick(rng, WOOD), "handle")]
    return [*parts, Part(grip, pick(rng, PAINT), "grip")] if rng.random() < 0.5 else parts


def sword(rng: np.random.Generator) -> list[Part]:
    tall, wide = rng.uniform(0.9, 1.2), rng.uniform(0.05, 0.09)
    blade = box(2 * wide, 0.05, tall, at=(0, 0, 0.32))
    tip = box(2 * wide, 0.05, 0.14, at=(0, 0, tall + 0.32))
    tip[..., 0] *= np.where(tip[..., 2] > tall + 0.4, 0.05, 1.0)
    guard = box(rng.uniform(0.3, 0.44), 0.1, 0.06, at=(0, 0, 0.27))
    grip, pommel = lathe((0.04, 0.05), (0.04, 0.28)), ball(0.06, 0.06, 0.06, at=(0, 0, 0.05))
    gold: Color = (236, 180, 40)
    return [
        Part(joined(blade, tip), pick(rng, (STEEL, (200, 206, 212))), "blade"),
        Part(joined(guard, pommel), pick(rng, (gold, IRON, *PAINT)), "guard"),
        Part(grip, pick(rng, (*WOOD, *FABRIC)), "grip"),
    ]


def umbrella(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.45, 0.65), rng.uniform(0.8, 1.1)
    turns = np.linspace(0, np.pi / 2, 6)
    height = wide * rng.uniform(0.4, 0.7)
    canopy = lathe(*[(wide * np.cos(turn), tall - height + height * np.sin(turn)) for turn in turns])
    canopy = canopy[np.ptp(canopy[..., 2], axis=1) > 1e-6]  # open below
    stick = rod((0, 0, 0.1), (0, 0, tall + 0.08), 0.025)
    hook = upright_to(_handle(0.0, -0.08, 0.08, 0.09, 0.028), "x") @ np.diag([1.0, 1.0, -1.0]) + (0.08, 0, 0.1)
    return [
        Part(canopy, pick(rng, (*FABRIC, *PAINT)), "canopy"),
        Part(stick, pick(rng, (STEEL, IRON)), "stick"),
        Part(hook, pick(rng, WOOD), "handle"),
    ]
