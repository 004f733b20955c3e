"""Plants and animals, and a snowman."""

import numpy as np

from kyvo.data.meshes import primitives as p


def mushroom(rng: np.random.Generator) -> list[p.Part]:
    tall, wide = rng.uniform(0.35, 0.6), rng.uniform(0.24, 0.36)
    turns = np.linspace(0, np.pi / 2, 6)
    rise = wide * rng.uniform(0.5, 0.95)
    cap = p.lathe(*[(wide * np.cos(turn), tall + rise * np.sin(turn)) for turn in turns])
    stem = p.lathe((0.11, 0), (0.08, tall * 0.5), (0.09, tall + 0.02))
    parts = [
        p.Part(cap, p.pick(rng, ((200, 40, 36), (139, 94, 60), (226, 205, 170), *p.FABRIC)), "cap"),
        p.Part(stem, (238, 230, 214), "stem"),
    ]
    if rng.random() < 0.5:
        spots = []
        for turn in np.arange(6) * 2.4:
            slope = rng.uniform(0.3, 1.2)
            across = wide * np.cos(slope)
            spots.append(
                p.ball(0.06, 0.06, 0.04, at=(across * np.cos(turn), across * np.sin(turn), tall + rise * np.sin(slope)))
            )
        parts.append(p.Part(p.joined(*spots), (240, 240, 236), "spots"))
    return parts


def cactus(rng: np.random.Generator) -> list[p.Part]:
    tall, green = rng.uniform(0.6, 1.0), p.pick(rng, p.LEAVES)
    stem = p.joined(p.lathe((0.12, 0.1), (0.13, tall * 0.5), (0.12, tall)), p.ball(0.12, 0.12, 0.1, at=(0, 0, tall)))
    arms, count = [], int(rng.integers(1, 3))
    for side in (-1, 1)[:count]:
        low = tall * rng.uniform(0.35, 0.6)
        arms += [
            p.rod((0, 0, low), (side * 0.28, 0, low), 0.07),
            p.rod((side * 0.28, 0, low), (side * 0.28, 0, low + 0.3), 0.07),
        ]
        arms.append(p.ball(0.07, 0.07, 0.06, at=(side * 0.28, 0, low + 0.3)))
        arms.append(p.ball(0.07, 0.07, 0.07, at=(side * 0.28, 0, low)))
    pot = p.lathe((0.16, 0), (0.22, 0.22), (0.24, 0.22), (0.24, 0.28))
    parts = [
        p.Part(p.joined(stem, *arms), green, f"{p.COUNTS[count]} arm" + "s" * (count > 1)),
        p.Part(pot, p.pick(rng, ((176, 92, 62), *p.CERAMIC)), "pot"),
    ]
    if rng.random() < 0.4:
        parts.append(p.Part(p.ball(0.09, 0.09, 0.06, at=(0, 0, tall + 0.1)), (230, 130, 170), "flower"))
    return parts


def fish(rng: np.random.Generator) -> list[p.Part]:
    color, wide, tall = (
        p.pick(rng, ((230, 130, 40), *p.PAINT, *p.FABRIC)),
        rng.uniform(0.09, 0.16),
        rng.uniform(0.16, 0.3),
    )
    body = p.ball(wide, 0.42, tall, at=(0, 0, 0.32))
    tail = p.box(0.04, 0.3, 1, at=(0, 0.5, 0))
    tail[..., 2] = 0.32 + (tail[..., 2] - 0.5) * np.where(tail[..., 1] > 0.5, 0.42, 0.08)
    back = p.box(0.04, 0.34, 0.16, at=(0, 0.02, 0.32 + tall * 0.85))
    sides = [p.box(0.2, 0.12, 0.03, at=(side * (wide + 0.06), -0.05, 0.28)) for side in (-1, 1)]
    eyes = [p.ball(0.035, 0.05, 0.05, at=(side * wide * 0.75, -0.26, 0.32 + tall * 0.25)) for side in (-1, 1)]
    return [
        p.Part(body, color, "body"),
        p.Part(p.joined(tail, back, *sides), p.pick(rng, (color, *p.PAINT)), "fins"),
        p.Part(p.joined(*eyes), (20, 20, 22), "eyes"),
    ]


def snowman(rng: np.random.Generator) -> list[p.Part]:
    radius = rng.uniform(0.28, 0.36)
    snow = p.joined(
        p.ball(radius, radius, radius * 0.9, at=(0, 0, radius * 0.8)),
        p.ball(radius * 0.75, radius * 0.75, radius * 0.7, at=(0, 0, radius * 2.0)),
        p.ball(radius * 0.55, radius * 0.55, radius * 0.55, at=(0, 0, radius * 2.95)),
    )
    nose = p.upright_to(p.lathe((0.05, 0), (0.005, 0.24)), "y") * (1, -1, 1) + (0, -radius * 0.5, radius * 2.95)
    scarf = p.lathe((radius * 0.58, radius * 2.45), (radius * 0.6, radius * 2.62))
    hat = p.lathe((radius * 0.7, radius * 3.35), (radius * 0.7, radius * 3.45), (radius * 0.45, radius * 3.45))
    top = p.lathe((radius * 0.45, radius * 3.45), (radius * 0.45, radius * rng.uniform(3.9, 4.3)))
    buttons = [p.ball(0.04, 0.04, 0.04, at=(0, -radius * 0.74, radius * z)) for z in (1.8, 2.1)]
    return [
        p.Part(snow, (240, 240, 236), "three snowballs"),
        p.Part(p.joined(hat, top), p.pick(rng, ((30, 30, 32), *p.FABRIC)), "hat"),
        p.Part(scarf, p.pick(rng, p.FABRIC), "scarf"),
        p.Part(nose, (230, 130, 40), "nose"),
        p.Part(p.joined(*buttons), (30, 30, 32), "buttons"),
    ]


def dog(rng: np.random.Generator) -> list[p.Part]:
    fur: p.Color = p.pick(
        rng, ((139, 94, 60), (94, 62, 45), (226, 205, 170), (240, 240, 236), (52, 56, 60), (190, 150, 104))
    )
    tall, long = rng.uniform(0.26, 0.42), rng.uniform(0.26, 0.4)
    body = p.ball(0.15, long, 0.15, at=(0, 0, tall + 0.1))
    head = p.joined(
        p.ball(0.13, 0.14, 0.13, at=(0, -long - 0.05, tall + 0.28)),
        p.ball(0.06, 0.12, 0.06, at=(0, -long - 0.2, tall + 0.25)),
        p.rod((0, -long * 0.7, tall + 0.12), (0, -long - 0.03, tall + 0.26), 0.08),
    )
    legs = p.joined(
        *(p.rod((x, y, 0), (x, y, tall + 0.08), 0.05) for x in (-0.09, 0.09) for y in (-long * 0.65, long * 0.65))
    )
    tail = p.rod((0, long * 0.9, tall + 0.14), (0, long + 0.2, tall + rng.uniform(0.1, 0.4)), 0.035)
    ears = [p.ball(0.03, 0.06, 0.1, at=(side * 0.12, -long - 0.02, tall + 0.3)) for side in (-1, 1)]
    return [
        p.Part(p.joined(body, head, legs, tail), fur, "fur"),
        p.Part(p.joined(*ears), p.pick(rng, (fur, (94, 62, 45), (52, 56, 60))), "ears"),
        p.Part(p.ball(0.035, 0.035, 0.03, at=(0, -long - 0.31, tall + 0.27)), (20, 20, 22), "nose"),
        p.Part(p.lathe((0.1, 0), (0.1, 0.05), at=(0, -long * 0.85, tall + 0.13)), p.pick(rng, p.PAINT), "collar"),
    ]
