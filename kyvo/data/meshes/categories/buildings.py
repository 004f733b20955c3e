"""Houses and towers."""

import numpy as np

from kyvo.data.meshes import primitives as p


def house(rng: np.random.Generator) -> list[p.Part]:
    x, y, tall = rng.uniform(0.8, 1.2), rng.uniform(0.7, 1.0), rng.uniform(0.5, 0.8)
    walls = p.box(x, y, tall)
    rise = rng.uniform(0.3, 0.5)
    roof = p.box(x + 0.16, y + 0.16, rise, at=(0, 0, tall))
    roof[..., 1] *= np.where(roof[..., 2] > tall + rise / 2, 0.05, 1.0)
    name = "gable roof"
    if rng.random() < 0.4:
        roof[..., 0] *= np.where(roof[..., 2] > tall + rise / 2, 0.05, 1.0)
        name = "pointed roof"
    door = p.box(0.2, 0.04, 0.38, at=(0, -y / 2, 0))
    windows = [p.box(0.18, 0.04, 0.18, at=(side * x * 0.3, -y / 2, tall * 0.5)) for side in (-1, 1)]
    windows += [p.box(0.04, 0.2, 0.18, at=(side * x / 2, 0, tall * 0.5)) for side in (-1, 1)]
    parts = [
        p.Part(walls, p.pick(rng, ((238, 238, 234), (226, 205, 170), *p.FABRIC, *p.STONE)), "walls"),
        p.Part(roof, p.pick(rng, ((176, 58, 46), (94, 62, 45), (60, 70, 84), (44, 110, 66))), name),
        p.Part(door, p.pick(rng, (*p.WOOD, *p.PAINT)), "door"),
        p.Part(p.joined(*windows), (90, 150, 210), "windows"),
    ]
    if rng.random() < 0.5:
        parts.append(p.Part(p.box(0.14, 0.14, rise * 1.1, at=(x * 0.28, y * 0.2, tall)), (150, 80, 66), "chimney"))
    return parts


def tower(rng: np.random.Generator) -> list[p.Part]:
    tall, wide = rng.uniform(1.2, 1.9), rng.uniform(0.24, 0.34)
    body = p.lathe((wide * 1.1, 0), (wide, tall), (wide * 1.2, tall), (wide * 1.2, tall + 0.12))
    windows = [p.box(0.08, 0.06, 0.18, at=(0, -wide, tall * share)) for share in (0.3, 0.65)]
    parts = [
        p.Part(body, p.pick(rng, p.STONE), "round walls"),
        p.Part(p.joined(*windows), (40, 36, 34), "windows"),
        p.Part(p.box(0.18, 0.08, 0.3, at=(0, -wide * 1.05, 0)), p.pick(rng, p.WOOD), "door"),
    ]
    if rng.random() < 0.5:
        roof = p.lathe((wide * 1.35, tall + 0.12), (0.01, tall + rng.uniform(0.5, 0.8)))
        return [*parts, p.Part(roof, p.pick(rng, p.FABRIC), "pointed roof")]
    teeth = [
        p.box(0.12, 0.12, 0.13, at=(wide * 1.08 * np.cos(turn), wide * 1.08 * np.sin(turn), tall + 0.12))
        for turn in np.arange(6) * np.pi / 3
    ]
    return [*parts, p.Part(p.joined(*teeth), parts[0].color, "battlements")]
