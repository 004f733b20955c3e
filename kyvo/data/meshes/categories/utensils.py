"""Tableware and tools: cups, bowls, hammers, an umbrella."""

from itertools import pairwise

import numpy as np

from kyvo.data.meshes import primitives as p


def _handle(x: float, low: float, high: float, reach: float, radius: float) -> p.Triangles:
    """A bent handle that starts and ends at (x, 0)."""
    turns = np.linspace(-np.pi / 2, np.pi / 2, 7)
    middle, half = (low + high) / 2, (high - low) / 2
    points = [(x + reach * np.cos(turn), 0.0, middle + half * np.sin(turn)) for turn in turns]
    return p.joined(*(p.rod(start, end, radius) for start, end in pairwise(points)))


def mug(rng: np.random.Generator) -> list[p.Part]:
    tall, wide, color = rng.uniform(0.2, 0.3), rng.uniform(0.09, 0.13), p.pick(rng, p.PAINT)
    body = p.lathe((wide * 0.9, 0), (wide, 0.02), (wide, tall), (wide - 0.02, tall), (wide - 0.02, tall * 0.8))
    drink = p.lathe((wide - 0.02, tall * 0.78), (wide - 0.02, tall * 0.8))
    band = p.lathe((wide + 0.005, tall * 0.35), (wide + 0.005, tall * 0.6))
    parts = [
        p.Part(p.joined(body, _handle(wide - 0.01, tall * 0.2, tall * 0.8, 0.09, 0.02)), color, "handle"),
        p.Part(drink, p.pick(rng, ((94, 62, 45), (238, 238, 234))), "drink"),
    ]
    return [*parts, p.Part(band, p.pick(rng, p.PAINT), "band")] if rng.random() < 0.5 else parts


def bowl(rng: np.random.Generator) -> list[p.Part]:
    wide, tall = rng.uniform(0.2, 0.3), rng.uniform(0.12, 0.2)
    turns = np.linspace(0.2, np.pi / 2, 6)
    outside = [(wide * np.sin(turn), 0.03 + tall * (1 - np.cos(turn))) for turn in turns]
    inside = [((wide - 0.03) * np.sin(turn), 0.05 + tall * (1 - np.cos(turn))) for turn in turns[::-1]]
    body = p.lathe((0.1, 0), (0.1, 0.03), *outside, *inside)
    fruit = []
    for turn in np.arange(int(rng.integers(3, 6))) * 1.4:
        fruit.append(p.ball(0.07, 0.07, 0.07, at=(0.09 * np.cos(turn), 0.09 * np.sin(turn), 0.03 + tall * 0.75)))
    parts = [p.Part(body, p.pick(rng, (*p.CERAMIC, *p.WOOD)), "body")]
    return [*parts, p.Part(p.joined(*fruit), p.pick(rng, p.PAINT), "fruit")] if rng.random() < 0.6 else parts


def teapot(rng: np.random.Generator) -> list[p.Part]:
    color, wide = p.pick(rng, (*p.CERAMIC, p.STEEL)), rng.uniform(0.17, 0.22)
    body = p.ball(wide, wide, wide * rng.uniform(0.7, 1.0), at=(0, 0, wide))
    spout = p.joined(
        p.rod((wide * 0.7, 0, wide * 0.7), (wide * 1.4, 0, wide * 1.2), 0.04),
        p.rod((wide * 1.4, 0, wide * 1.2), (wide * 1.7, 0, wide * 1.8), 0.03),
    )
    lid = p.lathe((wide * 0.5, wide * 1.75), (wide * 0.4, wide * 1.9), (0.02, wide * 2.0))
    knob = p.ball(0.035, 0.035, 0.035, at=(0, 0, wide * 2.1))
    handle = _handle(wide * 0.85, wide * 0.5, wide * 1.5, 0.14, 0.025) * (-1, -1, 1)
    return [
        p.Part(p.joined(body, spout), color, "body and spout"),
        p.Part(p.joined(lid, knob), p.pick(rng, (color, *p.CERAMIC)), "lid"),
        p.Part(handle, p.pick(rng, (color, *p.WOOD)), "handle"),
    ]


def hammer(rng: np.random.Generator) -> list[p.Part]:
    tall = rng.uniform(0.6, 0.9)
    head = p.box(0.36, 0.14, 0.14, at=(0, 0, tall - 0.14))
    name = "square head"
    if rng.random() < 0.5:
        head = p.upright_to(p.lathe((0.08, -0.17), (0.08, 0.17)), "x") + np.array((0, 0, tall - 0.06))
        name = "round head"
    handle = p.lathe((0.045, 0), (0.035, tall * 0.5), (0.03, tall))
    grip = p.lathe((0.05, 0.0), (0.05, tall * 0.35))
    parts = [p.Part(head, p.pick(rng, (p.STEEL, p.IRON)), name), p.Part(handle, p.pick(rng, p.WOOD), "handle")]
    return [*parts, p.Part(grip, p.pick(rng, p.PAINT), "grip")] if rng.random() < 0.5 else parts


def sword(rng: np.random.Generator) -> list[p.Part]:
    tall, wide = rng.uniform(0.9, 1.2), rng.uniform(0.05, 0.09)
    blade = p.box(2 * wide, 0.05, tall, at=(0, 0, 0.32))
    tip = p.box(2 * wide, 0.05, 0.14, at=(0, 0, tall + 0.32))
    tip[..., 0] *= np.where(tip[..., 2] > tall + 0.4, 0.05, 1.0)
    guard = p.box(rng.uniform(0.3, 0.44), 0.1, 0.06, at=(0, 0, 0.27))
    grip, pommel = p.lathe((0.04, 0.05), (0.04, 0.28)), p.ball(0.06, 0.06, 0.06, at=(0, 0, 0.05))
    gold: p.Color = (236, 180, 40)
    return [
        p.Part(p.joined(blade, tip), p.pick(rng, (p.STEEL, (200, 206, 212))), "blade"),
        p.Part(p.joined(guard, pommel), p.pick(rng, (gold, p.IRON, *p.PAINT)), "guard"),
        p.Part(grip, p.pick(rng, (*p.WOOD, *p.FABRIC)), "grip"),
    ]


def umbrella(rng: np.random.Generator) -> list[p.Part]:
    wide, tall = rng.uniform(0.45, 0.65), rng.uniform(0.8, 1.1)
    turns = np.linspace(0, np.pi / 2, 6)
    height = wide * rng.uniform(0.4, 0.7)
    canopy = p.lathe(*[(wide * np.cos(turn), tall - height + height * np.sin(turn)) for turn in turns])
    canopy = canopy[np.ptp(canopy[..., 2], axis=1) > 1e-6]  # open below
    stick = p.rod((0, 0, 0.1), (0, 0, tall + 0.08), 0.025)
    hook = p.upright_to(_handle(0.0, -0.08, 0.08, 0.09, 0.028), "x") @ np.diag([1.0, 1.0, -1.0]) + (0.08, 0, 0.1)
    return [
        p.Part(canopy, p.pick(rng, (*p.FABRIC, *p.PAINT)), "canopy"),
        p.Part(stick, p.pick(rng, (p.STEEL, p.IRON)), "stick"),
        p.Part(hook, p.pick(rng, p.WOOD), "handle"),
    ]
