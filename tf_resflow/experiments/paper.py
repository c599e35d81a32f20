"""The tables and figures of the paper: its rows, and studies at CPU size."""

import csv
import pathlib
from typing import Any, NamedTuple

from tf_resflow.experiments import study

_COUPLING: dict[str, Any] = {
    'block': 'coupling', 'activation': 'relu', 'lipschitz_coeff': None}
_BLOCKS: dict[str, dict[str, Any]] = {
    'residual': {}, 'coupling': _COUPLING,
    'coupling_1x1': _COUPLING | {'invertible_linear': 'free'}}

ACTIVATIONS = study.Study(
    title='Table 3, Figure 8: LipSwish, ELU, Softplus, and CPila',
    cases={name: {'activation': name}
           for name in ('lipswish', 'elu', 'softplus', 'cpila')},
    workloads={
        'digits': study.Workload(flagfile='digits', seconds=60.0),
        'mnist5k': study.Workload(
            flagfile='mnist5k', seconds=150.0, rate_factor=0.5)},
    rates=(0.016, 0.032, 0.064, 0.128))

ESTIMATORS = study.Study(
    title='Table 3: unbiased estimates, and the truncation of i-ResNets',
    cases={'roulette': {'estimator': 'roulette:poisson:2,exact=2'},
           'truncated': {'estimator': 'fixed:3'}},
    workloads={
        'digits': study.Workload(flagfile='digits_iresnet', seconds=45.0),
        'mnist5k': study.Workload(
            flagfile='mnist5k_iresnet', seconds=120.0)},
    rates=(0.002, 0.004, 0.008, 0.016))


BLOCKS = study.Study(
    title='Table 1: residual and coupling blocks',
    cases=_BLOCKS,
    workloads={
        'digits': study.Workload(flagfile='digits_lipswish', seconds=60.0),
        'mnist5k': study.Workload(
            flagfile='mnist5k_lipswish', seconds=120.0, rate_factor=0.5)},
    rates=(0.004, 0.008, 0.016, 0.032))


def _hybrids(nll_weight, *metrics, **workloads):
  return study.Study(
      title=f'Tables 4 and 5, lambda = {nll_weight}: residual and coupling '
      'blocks',
      cases=_BLOCKS, metrics=metrics,
      workloads={
          name: study.Workload(
              flagfile=f'{name}_hybrid', seconds=seconds,
              settings={'nll_weight': nll_weight})
          for name, seconds in workloads.items()},
      rates=(0.002, 0.004, 0.008, 0.016))


HYBRIDS_0 = _hybrids(0.0, 'cross_entropy', 'accuracy', digits=45.0)
HYBRIDS_1_D = _hybrids(
    '1/D', 'bits_per_dim', 'accuracy', digits=45.0, mnist5k=90.0)
HYBRIDS_1 = _hybrids(1.0, 'bits_per_dim', 'accuracy', digits=45.0)

_NORMS: dict[str, dict[str, Any]] = {
    'spectral': {'norms': ('2',)}, 'inf': {'norms': ('inf',)},
    'learned': {'norms': ('learned',), 'norm_bound': 'estimate'}}

NORMS_2D = study.Study(
    title='Section 5.1, Appendix D: norms in two dimensions',
    cases=_NORMS, metrics=('nats',),
    workloads={
        name: study.Workload(
            flagfile='2d_norms', seconds=60.0,
            settings={'dataset': f'2d/{name}', 'norms': None,
                      'norm_bound': None})
        for name in ('rings', 'checkerboard')},
    rates=(0.01, 0.02, 0.04, 0.08))

NORMS = study.Study(
    title='Section 5.1, Appendix D: norms of images',
    cases=_NORMS,
    workloads={'digits': study.Workload(
        flagfile='digits_lipswish', seconds=60.0)},
    rates=(0.008, 0.016, 0.032, 0.064))

DENSITIES = study.Study(
    title='Section 5: densities in two dimensions, residual and coupling '
    'blocks',
    cases={'residual': {}, 'coupling': _COUPLING}, metrics=('nats',),
    workloads={
        name: study.Workload(
            flagfile='2d', seconds=60.0, settings={'dataset': f'2d/{name}'})
        for name in ('pinwheel', '8gaussians', '2spirals', 'checkerboard')},
    rates=(0.005, 0.01, 0.02, 0.04))

BIAS = study.Study(
    title='Figure 2: the bias of truncated series as training goes on',
    cases={'roulette': {'estimator': 'roulette:poisson:2,exact=2'},
           'one term': {'estimator': 'fixed:1'},
           'three terms': {'estimator': 'fixed:3'}},
    workloads={
        f'coefficient {coeff}': study.Workload(
            flagfile='digits_iresnet', seconds=30.0, settings={
                'lipschitz_coeff': coeff, 'num_validation': 200,
                'evaluate_every': 100})
        for coeff in (0.98, 0.9)},
    rates=(0.001, 0.002, 0.004), num_seeds=2)


class Figure(NamedTuple):
  """A figure of the paper.

  Attributes:
    draw: name of its function in `figures`.
    flagfiles: of the runs at full size.
    study: whose finalists are drawn at CPU size, those of all workloads if none
      is named.
    workload, cases: which of these.
  """

  draw: str
  flagfiles: tuple[str, ...]
  study: str = ''
  workload: str = ''
  cases: tuple[str, ...] = ()


FIGURES = {
    'figure2': Figure('save_bias', ('cifar10_iresnet', 'cifar10_elu'),
                      'truncation_bias'),
    'figure4': Figure('save_activations', ()),
    'figure5': Figure('save_samples', ('celeba64',), 'activations', 'mnist5k',
                      ('cpila',)),
    'figure6': Figure('save_samples', ('cifar10',), 'activations', 'mnist5k',
                      ('lipswish',)),
    'figure7': Figure('save_temperatures', ('celebahq256',), 'activations',
                      'mnist5k', ('cpila',)),
    'figure8': Figure(
        'save_curves', ('cifar10', 'cifar10_elu', 'cifar10_softplus'),
        'activations', 'digits', ('lipswish', 'elu', 'softplus')),
}

# The studies that stand for the tables of the paper at CPU size.
OF_TABLES = {
    'table1': ('blocks',), 'table3': ('estimators', 'activations'),
    **dict.fromkeys(
        ('table4', 'table5'), ('hybrids_0', 'hybrids_1_d', 'hybrids_1')),
    'norms': ('norms_digits', 'norms_2d'), 'densities': ('densities',)}


def rows(name: str) -> list[dict[str, str]]:
  """Returns the rows of a table, with published values as text.

  Keys are the columns of paper.csv: the metrics (accuracies in percent), and
  the flagfile of the run at full size, empty for models of others, with further
  flags.
  """
  return [row for row in _read('paper.csv') if row['table'] == name]


def published(name: str) -> list[list[str]]:
  """Returns a table of the paper, as rows of text, the first one its header."""
  return [['published', 'bits/dim', 'accuracy, %', 'FID'], *(
      [row[key] for key in ('model', 'bits_per_dim', 'accuracy', 'fid')]
      for row in rows(name))]


def runs() -> dict[str, dict[str, str]]:
  """Returns what runs at full size take and where they depart, by flagfile.

  `tflop`: operations of a step in linear layers (for couplings in convolutions
  alone), counted; `days_4_v100` and `days_h100`: calculated from these, see
  docs/performance.md, not measured; `departures` from the paper, phrases.
  """
  return {row['flagfile']: row for row in _read('paper_runs.csv')}


def _read(name):
  with (pathlib.Path(__file__).parent / name).open() as file:
    return [*csv.DictReader(file)]
