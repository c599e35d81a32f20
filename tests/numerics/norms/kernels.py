"""Shapes of kernels: dense, wide, narrow, larger than the image, 1 x 1."""

from tests import loops

SHAPES = [
    ((3, 5), None),
    ((20, 12), None),
    ((2, 16), None),
    ((3, 3, 2, 6), (4, 5)),
    ((3, 3, 3, 2), (4, 5)),
    ((3, 3, 2, 2), (3, 3)),
    ((5, 3, 1, 2), (4, 3)),
    ((5, 5, 3, 3), (4, 4)),
    ((3, 3, 1, 8), (6, 4)),
    ((3, 3, 1, 2), (2, 1)),
    ((1, 1, 2, 3), (2, 3)),
    ((1, 1, 7, 5), (3, 3)),
]
EACH_SHAPE = loops.each(SHAPES)
