import numpy as np
from PIL import Image

from kyvo.export.sheet import contact_sheet

SENTENCE = "Find the cylinder that stands to the right of the yellow rubber object and give it a new material: metal."


def test_captions_stand_under_their_pictures_and_inside_their_columns():
    cells = [[Image.new("RGB", (240, 40), "red") for _ in range(2)] for _ in range(3)]
    bare = contact_sheet(cells, ("left", "right"))
    full = contact_sheet(cells, ("left", "right"), captions=[["", SENTENCE], ["", ""], [SENTENCE, "yes"]])
    assert full.width == bare.width == 8 + 2 * 248
    assert full.height > bare.height
    pixels = np.asarray(full)
    background = pixels[0, 0]
    for gap in (slice(0, 7), slice(248, 255), slice(496, 504)):  # a letter may bleed one pixel to its left
        assert (pixels[:, gap] == background).all()
    step = (full.height - 26) // 3
    written = [
        [bool((pixels[26 + row * step + 40 : 26 + (row + 1) * step, left : left + 240] != background).any())
         for left in (8, 256)]
        for row in range(3)
    ]  # fmt: skip
    assert written == [[False, True], [False, False], [True, True]]
