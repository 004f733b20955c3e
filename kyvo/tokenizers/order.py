"""Center-token reordering: output pictures start at their centre and hop left and right.

The first token of a raster picture is almost always the same patch of background, which starts every picture alike
(https://arxiv.org/abs/2506.08002, section 3.3). 16 x 16 codes start 120, 119, 121, 118, 122, ... and end ..., 255.
"""

from functools import cache

import numpy as np


@cache
def _center_out(rows: int, columns: int) -> np.ndarray:
    """[rows * columns] raster positions in the order in which they are written."""
    count = rows * columns
    center = (rows - 1) // 2 * columns + columns // 2  # 16 x 16 -> 120, as released
    left, right = list(range(center - 1, -1, -1)), list(range(center + 1, count))
    hops = [place for pair in zip(left, right, strict=False) for place in pair]
    both = min(len(left), len(right))
    order = np.array([center, *hops, *left[both:], *right[both:]])
    order.setflags(write=False)
    return order


def reorder(codes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Raster codes [rows * columns] -> writing order."""
    return codes[_center_out(rows, columns)]


def restore(codes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Inverse of `reorder`."""
    raster = np.empty_like(codes)
    raster[_center_out(rows, columns)] = codes
    return raster
