"""The study of docs/tables.md: the default flow beside models of others."""

import pathlib

from tf_resflow.experiments import study
from tf_resflow.experiments import tables

_PROGRAMS = pathlib.Path(__file__).parent / 'programs'


def _workload(name, **fields):
  return study.Workload(
      flagfile='table', settings={'dataset': f'tables:{name}'}, **fields)


TABLES = study.Study(
    title='Twelve tables: the default flow beside models of others',
    cases={
        'flow': {},
        'gaussian': study.Program(script=_PROGRAMS / 'gaussian.py'),
        'mixture': study.Program(script=_PROGRAMS / 'mixture.py'),
        'spline flow': study.Program(
            script=_PROGRAMS / 'spline_flow.py',
            requirements=(
                'flowjax==19.1.2', 'equinox==0.13.8', 'jax==0.10.2',
                'numpy==2.4.6', 'optax==0.2.8', 'paramax==0.0.5'))},
    workloads={
        **{name: _workload(name) for name in tables.TABLES},
        'wine in folds': _workload('wine', folds=5, num_seeds=15)},
    rates=(), metrics=('nats',))
