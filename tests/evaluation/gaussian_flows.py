"""Flows of tables that are affine in the numbers of their types of columns."""

import numpy as np
from scipy import stats

from tf_resflow import models
from tf_resflow.columns import schema as schema_lib

MEAN, STD = np.array([1.0, 0.5, 2.5]), np.array([2.0, 0.3, 0.4])
LOWER = np.array([[1.0, 0.0, 0.0], [-0.9, 1.4, 0.0], [0.5, -0.6, 1.2]])


def make_flow(*types, mean=MEAN, std=STD, steps=1.0, lower=LOWER):
  """Returns a flow of columns a, b, c that is affine in their mapped numbers.

  With these, minus `mean` and over `std`, `lower` times them is standard
  normal; the last one is divided by `steps` before.
  """
  units = np.array([1.0, 1.0, steps])
  flow = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(4,),
      schema=schema_lib.Schema(
          columns=[
              {'name': name, 'type': spec, 'mean': mean, 'std': std,
               'position': i}
              for i, (name, spec, mean, std) in enumerate(zip(
                  'abc', types, mean * units, std * units, strict=True))],
          whitening=lower[np.tril_indices(3)], dtype='float64')
  ).build(dtype='float64')
  flow.initialize(np.full([4, 3], 2.0))
  for variable in flow.trainable_variables:
    variable.assign(0.0 * variable)
  return flow


def gaussian():
  """Returns the distribution of the mapped numbers, with LOWER."""
  scale = np.diag(STD) @ np.linalg.inv(LOWER)
  return stats.multivariate_normal(MEAN, scale @ scale.T)


def given_others(i, y):
  """Returns the conditional distribution of one mapped number."""
  precision = np.linalg.inv(gaussian().cov)
  variance = 1.0 / precision[i, i]
  return stats.norm(
      y[i] - variance * (precision @ (y - MEAN))[i], variance**0.5)
