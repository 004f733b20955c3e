"""Vehicles: cars and trucks, boats, aircraft."""

import numpy as np

from kyvo.data.meshes import primitives as p


def _wheels(x: float, places: tuple[float, ...], radius: float) -> p.Triangles:
    return p.joined(
        *(p.rod((side * (x - 0.1), y, radius), (side * x, y, radius), radius) for side in (-1, 1) for y in places)
    )


def truck(rng: np.random.Generator) -> list[p.Part]:
    long, paint = rng.uniform(1.4, 1.9), p.pick(rng, p.PAINT)
    cab = p.joined(p.box(0.62, 0.45, 0.5, at=(0, -long / 2 + 0.22, 0.16)))
    glass = p.box(0.54, 0.47, 0.18, at=(0, -long / 2 + 0.22, 0.44))
    load = p.box(0.66, long - 0.5, rng.uniform(0.25, 0.7), at=(0, 0.24, 0.24))
    return [
        p.Part(cab, paint, "cab"),
        p.Part(load, p.pick(rng, ((238, 238, 234), *p.PAINT, *p.WOOD)), "load"),
        p.Part(glass, (70, 92, 108), "windows"),
        p.Part(_wheels(0.34, (-long / 2 + 0.25, long / 2 - 0.45, long / 2 - 0.15), 0.14), (30, 30, 32), "six wheels"),
        p.Part(p.box(0.5, long - 0.1, 0.08, at=(0, 0, 0.16)), p.IRON, "frame"),
    ]


def boat(rng: np.random.Generator) -> list[p.Part]:
    long, wide = rng.uniform(1.0, 1.4), rng.uniform(0.2, 0.3)
    hull = p.ball(wide, long / 2, 0.3, at=(0, 0, 0.3))
    hull[..., 2] = np.minimum(hull[..., 2], 0.3)
    deck = p.ball(wide * 0.85, long * 0.43, 0.01, at=(0, 0, 0.31))
    parts = [p.Part(hull, p.pick(rng, (*p.PAINT, *p.WOOD)), "hull"), p.Part(deck, p.pick(rng, p.WOOD), "deck")]
    if rng.random() < 0.6:
        tall = rng.uniform(0.9, 1.2)
        sail = p.box(0.03, 1, 1)
        sail[..., 1] *= np.where(sail[..., 2] > 0.5, 0.05, 1.0)
        sail = sail * (1, long * 0.5, tall - 0.2) + (0, 0.05, 0.42)
        mast = p.rod((0, 0, 0.3), (0, 0, 0.35 + tall), 0.03)
        return [
            *parts,
            p.Part(sail, p.pick(rng, ((238, 238, 234), *p.FABRIC)), "sail"),
            p.Part(mast, p.pick(rng, p.WOOD), "mast"),
        ]
    cabin = p.box(wide * 1.1, long * 0.3, 0.22, at=(0, 0.1, 0.31))
    funnel = p.lathe((0.07, 0.52), (0.07, 0.75), at=(0, 0.15, 0))
    return [*parts, p.Part(cabin, (238, 238, 234), "cabin"), p.Part(funnel, p.pick(rng, p.PAINT), "funnel")]


def airplane(rng: np.random.Generator) -> list[p.Part]:
    paint, span = p.pick(rng, ((238, 238, 234), *p.PAINT)), rng.uniform(1.2, 1.7)
    wide = rng.uniform(0.10, 0.15)
    body = p.ball(wide, 0.7, wide, at=(0, 0, 0.3))
    wings = p.box(span, rng.uniform(0.2, 0.32), 0.04, at=(0, 0, 0.28))
    tail = p.joined(p.box(span * 0.35, 0.14, 0.03, at=(0, 0.6, 0.32)), p.box(0.03, 0.18, 0.28, at=(0, 0.6, 0.32)))
    parts = [
        p.Part(body, paint, "body"),
        p.Part(p.joined(wings), p.pick(rng, (paint, p.STEEL, *p.PAINT)), "wings"),
        p.Part(tail, p.pick(rng, p.PAINT), "tail"),
        p.Part(p.ball(wide * 0.7, 0.16, 0.08, at=(0, -0.36, 0.3 + wide * 0.75)), (70, 92, 108), "cockpit"),
    ]
    if rng.random() < 0.5:
        blades = p.joined(p.box(0.05, 0.03, 0.44, at=(0, -0.71, 0.08)), p.box(0.44, 0.03, 0.05, at=(0, -0.71, 0.275)))
        return [*parts, p.Part(blades, p.IRON, "propeller")]
    engines = [p.rod((side * span * 0.25, -0.2, 0.2), (side * span * 0.25, 0.1, 0.2), 0.07) for side in (-1, 1)]
    return [*parts, p.Part(p.joined(*engines), p.STEEL, "two engines")]


def rocket(rng: np.random.Generator) -> list[p.Part]:
    tall, wide, count = rng.uniform(1.0, 1.6), rng.uniform(0.14, 0.22), int(rng.integers(3, 5))
    body = p.lathe((wide * 0.8, 0.15), (wide, 0.4), (wide, tall * 0.75))
    nose = p.lathe((wide, tall * 0.75), (wide * 0.6, tall * 0.92), (0.01, tall * 1.05))
    fins = []
    for turn in 2 * np.pi * np.arange(count) / count:
        cosine, sine = np.cos(turn), np.sin(turn)
        fin = p.box(wide * 1.2, 0.04, 0.42, at=(wide * 1.3, 0, 0))
        fins.append(fin @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]))
    window = p.ball(0.07, 0.04, 0.07, at=(0, -wide, tall * 0.6))
    return [
        p.Part(body, p.pick(rng, ((238, 238, 234), p.STEEL, *p.PAINT)), "body"),
        p.Part(nose, p.pick(rng, p.PAINT), "nose"),
        p.Part(p.joined(*fins), p.pick(rng, p.PAINT), f"{p.COUNTS[count]} fins"),
        p.Part(window, (90, 150, 210), "round window"),
    ]
