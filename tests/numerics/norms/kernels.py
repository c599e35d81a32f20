"""Shapes of kernels: dense, wide, narrow, larger than the image, 1 x 1."""

import pytest

_SHAPES = {
    'dense': ((3, 5), None),
    'dense_transposed': ((20, 12), None),
    'dense_two_inputs': ((2, 16), None),
    'conv': ((3, 3, 2, 6), (4, 5)),
    'conv_transposed': ((3, 3, 3, 2), (4, 5)),
    'conv_square': ((3, 3, 2, 2), (3, 3)),
    'conv_5x3': ((5, 3, 1, 2), (4, 3)),
    'conv_5x5': ((5, 5, 3, 3), (4, 4)),
    'conv_one_channel': ((3, 3, 1, 8), (6, 4)),
    'conv_wider_than_image': ((3, 3, 1, 2), (2, 1)),
    'conv_1x1': ((1, 1, 2, 3), (2, 3)),
    'conv_1x1_transposed': ((1, 1, 7, 5), (3, 3)),
}
EACH_SHAPE = pytest.mark.parametrize(
    'shape, spatial_shape', _SHAPES.values(), ids=list(_SHAPES))
