"""Studies of what came after the paper: blocks, networks, noise of integers."""

from typing import Any

from tf_resflow.experiments import study

# Sizes of plain networks, which others bring themselves.
_IMAGE_SIZES: dict[str, Any] = {
    'hidden_channels': None, 'dense_hidden_units': None}
_VECTOR_SIZES: dict[str, Any] = {'hidden_units': None}

IMAGES = study.Study(
    title='Past the paper: blocks, networks and noise of images',
    cases={
        'residual': {}, 'monotone': {'block': 'monotone'},
        'densenet': {
            'network': 'densenet:3,growth=24,dense_growth=16,first=64',
            **_IMAGE_SIZES},
        **{name: {'network': f'{name}:3,width=32', 'activation': None,
                  **_IMAGE_SIZES} for name in ('sll', 'cpl')},
        'variational': {'dequantization': 'variational'}},
    workloads={
        'digits': study.Workload(flagfile='digits', seconds=100.0),
        'mnist5k': study.Workload(
            flagfile='mnist5k', seconds=240.0, rate_factor=0.5)},
    rates=(0.016, 0.032, 0.064, 0.128))

TOYS = study.Study(
    title='Past the paper: blocks and networks in two dimensions',
    cases={
        'residual': {}, 'monotone': {'block': 'monotone'},
        'inverse': {'block': 'inverse'},
        'densenet': {'network': 'densenet:3,growth=64', **_VECTOR_SIZES}},
    metrics=('nats',),
    workloads={
        name: study.Workload(
            flagfile='2d', seconds=90.0, settings={'dataset': f'2d/{name}'})
        for name in ('checkerboard', 'pinwheel', '2spirals', 'rings',
                     '8gaussians', 'moons')},
    rates=(0.01, 0.02, 0.04, 0.08))
