"""Procedural objects of 40 categories, to train object generators on.

Each builder draws proportions, colors and which parts there are. Parts are named as captions say them ("round top",
"three legs"), so that a text tells what can be seen.
"""

from kyvo.data.meshes.categories.buildings import house, tower
from kyvo.data.meshes.categories.furniture import (
    bed,
    bookshelf,
    clock,
    desk,
    ladder,
    lamp,
    stool,
    table,
    television,
    wardrobe,
)
from kyvo.data.meshes.categories.nature import cactus, dog, fish, mushroom, snowman
from kyvo.data.meshes.categories.utensils import bowl, hammer, mug, sword, teapot, umbrella
from kyvo.data.meshes.categories.vehicles import airplane, boat, rocket, truck
from kyvo.data.meshes.primitives import Builder
from kyvo.data.meshes.procedural import BUILDERS

CATEGORIES: dict[str, Builder] = {
    **BUILDERS,
    "table": table,
    "stool": stool,
    "bed": bed,
    "bookshelf": bookshelf,
    "desk": desk,
    "wardrobe": wardrobe,
    "lamp": lamp,
    "mug": mug,
    "bowl": bowl,
    "teapot": teapot,
    "clock": clock,
    "television": television,
    "ladder": ladder,
    "house": house,
    "tower": tower,
    "truck": truck,
    "boat": boat,
    "airplane": airplane,
    "rocket": rocket,
    "hammer": hammer,
    "sword": sword,
    "umbrella": umbrella,
    "mushroom": mushroom,
    "cactus": cactus,
    "fish": fish,
    "snowman": snowman,
    "dog": dog,
}
