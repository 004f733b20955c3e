"""Vehicles: cars and trucks, boats, aircraft."""

import numpy as np

from kyvo.data.meshes.primitives import (
    COUNTS,
    FABRIC,
    IRON,
    PAINT,
    STEEL,
    WOOD,
    Part,
    Triangles,
    ball,
    box,
    joined,
    lathe,
    pick,
    rod,
)


def _wheels(x: float, places: tuple[float, ...], radius: float) -> Triangles:
    return joined(
        *(rod((side * (x - 0.1), y, radius), (side * x, y, radius), radius) for side in (-1, 1) for y in places)
    )


def truck(rng: np.random.Generator) -> list[Part]:
    long, paint = rng.uniform(1.4, 1.9), pick(rng, PAINT)
    cab = joined(box(0.62, 0.45, 0.5, at=(0, -long / 2 + 0.22, 0.16)))
    glass = box(0.54, 0.47, 0.18, at=(0, -long / 2 + 0.22, 0.44))
    load = box(0.66, long - 0.5, rng.uniform(0.25, 0.7), at=(0, 0.24, 0.24))
    return [
        Part(cab, paint, "cab"),
        Part(load, pick(rng, ((238, 238, 234), *PAINT, *WOOD)), "load"),
        Part(glass, (70, 92, 108), "windows"),
        Part(_wheels(0.34, (-long / 2 + 0.25, long / 2 - 0.45, long / 2 - 0.15), 0.14), (30, 30, 32), "six wheels"),
        Part(box(0.5, long - 0.1, 0.08, at=(0, 0, 0.16)), IRON, "frame"),
    ]


def boat(rng: np.random.Generator) -> list[Part]:
    long, wide = rng.uniform(1.0, 1.4), rng.uniform(0.2, 0.3)
    hull = ball(wide, long / 2, 0.3, at=(0, 0, 0.3))
    hull[..., 2] = np.minimum(hull[..., 2], 0.3)
    deck = ball(wide * 0.85, long * 0.43, 0.01, at=(0, 0, 0.31))
    parts = [Part(hull, pick(rng, (*PAINT, *WOOD)), "hull"), Part(deck, pick(rng, WOOD), "deck")]
    if rng.random() < 0.6:
        tall = rng.uniform(0.9, 1.2)
        sail = box(0.03, 1, 1)
        sail[..., 1] *= np.where(sail[..., 2] > 0.5, 0.05, 1.0)
        sail = sail * (1, long * 0.5, tall - 0.2) + (0, 0.05, 0.42)
        mast = rod((0, 0, 0.3), (0, 0, 0.35 + tall), 0.03)
        return [*parts, Part(sail, pick(rng, ((238, 238, 234), *FABRIC)), "sail"), Part(mast, pick(rng, WOOD), "mast")]
    cabin = box(wide * 1.1, long * 0.3, 0.22, at=(0, 0.1, 0.31))
    funnel = lathe((0.07, 0.52), (0.07, 0.75), at=(0, 0.15, 0))
    return [*parts, Part(cabin, (238, 238, 234), "cabin"), Part(funnel, pick(rng, PAINT), "funnel")]


def airplane(rng: np.random.Generator) -> list[Part]:
    paint, span = pick(rng, ((238, 238, 234), *PAINT)), rng.uniform(1.2, 1.7)
    wide = rng.uniform(0.10, 0.15)
    body = ball(wide, 0.7, wide, at=(0, 0, 0.3))
    wings = box(span, rng.uniform(0.2, 0.32), 0.04, at=(0, 0, 0.28))
    tail = joined(box(span * 0.35, 0.14, 0.03, at=(0, 0.6, 0.32)), box(0.03, 0.18, 0.28, at=(0, 0.6, 0.32)))
    parts = [
        Part(body, paint, "body"),
        Part(joined(wings), pick(rng, (paint, STEEL, *PAINT)), "wings"),
        Part(tail, pick(rng, PAINT), "tail"),
        Part(ball(wide * 0.7, 0.16, 0.08, at=(0, -0.36, 0.3 + wide * 0.75)), (70, 92, 108), "cockpit"),
    ]
    if rng.random() < 0.5:
        blades = joined(box(0.05, 0.03, 0.44, at=(0, -0.71, 0.08)), box(0.44, 0.03, 0.05, at=(0, -0.71, 0.275)))
        return [*parts, Part(blades, IRON, "propeller")]
    engines = [rod((side * span * 0.25, -0.2, 0.2), (side * span * 0.25, 0.1, 0.2), 0.07) for side in (-1, 1)]
    return [*parts, Part(joined(*engines), STEEL, "two engines")]


def rocket(rng: np.random.Generator) -> list[Part]:
    tall, wide, count = rng.uniform(1.0, 1.6), rng.uniform(0.14, 0.22), int(rng.integers(3, 5))
    body = lathe((wide * 0.8, 0.15), (wide, 0.4), (wide, tall * 0.75))
    nose = lathe((wide, tall * 0.75), (wide * 0.6, tall * 0.92), (0.01, tall * 1.05))
    fins = []
    for turn in 2 * np.pi * np.arange(count) / count:
        cosine, sine = np.cos(turn), np.sin(turn)
        fin = box(wide * 1.2, 0.04, 0.42, at=(wide * 1.3, 0, 0))
        fins.append(fin @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]))
    window = ball(0.07, 0.04, 0.07, at=(0, -wide, tall * 0.6))
    return [
        Part(body, pick(rng, ((238, 238, 234), STEEL, *PAINT)), "body"),
        Part(nose, pick(rng, PAINT), "nose"),
        Part(joined(*fins), pick(rng, PAINT), f"{COUNTS[count]} fins"),
        Part(window, (90, 150, 210), "round window"),
    ]
