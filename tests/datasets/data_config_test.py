"""The data of a run: one clear line per mistake."""

import numpy as np

from tests import testing
from tf_resflow.datasets import data_config


def test_bad_values(tmp_path):
  path = tmp_path / 'own.csv'
  np.savetxt(path, np.random.default_rng(0).normal(size=[20, 2]), delimiter=',')
  table = f'table:{path}'
  testing.check_refusals(lambda values: data_config.DataConfig(
      **{'dataset': 'digits', **values}).open(), [
          (dict(crop_padding=8), 'crop_padding=8: expected less than the si'),
          (dict(dataset='2d/moons', flip=True), 'flip=true cannot be used'),
          (dict(skip_bad=True), 'skip_bad=true cannot be used with'),
          (dict(dataset='table:/none.csv'), '...There is no such file.'),
          (dict(drop=('a',)), 'drop=a cannot be used with dataset=digits. It'),
          (dict(dataset='array:x.npz', test_rows='last'), 'test_rows=last can'),
          (dict(dataset=table, test_rows='first'), 'test_rows=first: expected'),
          (dict(dataset=table, test_rows='last', test_file='a.csv'),
           'test_rows=last cannot be used with test_file'),
          # The type of the data is guessed from any of the suffixes.
          (dict(dataset='own.csv.gz'), '...Did you mean table:own.csv.gz?'),
          (dict(dataset='table:https://host/own.csv'),
           'dataset=table:https://host/own.csv: ...It is a URL')])
