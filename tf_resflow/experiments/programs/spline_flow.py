"""A neural spline flow of flowjax, chosen on the validation rows.

  python spline_flow.py ROWS.npz VALUES.npz SEED

Masked autoregressive flows with rational-quadratic splines of 8 bins on [-4, 4]
(Durkan et al., 2019), of the standardised mapped coordinates. Tried are 1 or 3
transforms with two hidden layers of 32 or 128 features, and weight decay of 0
or 0.1; AdamW at 1e-3 with batches of 64, 3,000 steps (6,000 from 4,000 rows on)
at most. The validation rows choose the step of each, every 50 steps, end the
training after 500 without a better one, and choose among the eight.
"""

import itertools
import sys

import equinox as eqx
from flowjax import bijections
from flowjax import distributions
from flowjax import flows
import jax
from jax import numpy as jnp
import numpy as np
import optax
import paramax

NUM_TRANSFORMS, HIDDEN, WEIGHT_DECAYS = (1, 3), (32, 128), (0.0, 0.1)
BATCH_SIZE, EVERY, PATIENCE = 64, 50, 10


@eqx.filter_jit
def log_prob(flow, x):
  """Returns the log-densities of rows, `[N]`, nats."""
  return paramax.unwrap(flow).log_prob(x)


def fit(key, flow, weight_decay, train, validation):
  """Returns the flow at its best step, and its validation value there."""
  params, static = eqx.partition(
      flow, eqx.is_inexact_array,
      is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable))
  optimizer = optax.adamw(1e-3, weight_decay=weight_decay)

  def loss(params, x):
    return -log_prob(eqx.combine(params, static), x).mean()

  def step(carry, key):
    params, state = carry
    batch = train[jax.random.randint(key, [BATCH_SIZE], 0, len(train))]
    updates, state = optimizer.update(
        jax.grad(loss)(params, batch), state, params)
    return (eqx.apply_updates(params, updates), state), None

  @jax.jit
  def steps(carry, key):
    carry, _ = jax.lax.scan(step, carry, jax.random.split(key, EVERY))
    return carry, -loss(carry[0], validation)

  carry = params, optimizer.init(params)
  best, best_value, since = params, -np.inf, 0
  num_steps = 3000 if len(train) < 4000 else 6000
  for step_key in jax.random.split(key, num_steps // EVERY):
    carry, value = steps(carry, step_key)
    since += 1
    if value > best_value:
      best, best_value, since = carry[0], float(value), 0
    if since == PATIENCE:
      break
  return eqx.combine(best, static), best_value


def main(rows_path, values_path, seed):
  """Tries the settings, and writes the log-densities of the best one."""
  rows = np.load(rows_path)
  train, validation = rows['mapped_train'], rows['mapped_validation']
  if not len(validation):  # A fifth, to choose by.
    train = np.random.default_rng(seed).permutation(train)
    validation, train = np.split(train, [len(train) // 5])
  mean, std = train.mean(axis=0), train.std(axis=0)
  train, validation, points = (
      jnp.asarray((y - mean) / std) for y in (
          train, validation, rows['mapped_points']))
  best, best_value = None, -np.inf
  for i, (num_transforms, hidden, weight_decay) in enumerate(
      itertools.product(NUM_TRANSFORMS, HIDDEN, WEIGHT_DECAYS)):
    flow_key, key = jax.random.split(jax.random.key(seed * 100 + i))
    flow, value = fit(key, flows.masked_autoregressive_flow(
        flow_key, base_dist=distributions.Normal(jnp.zeros(len(mean))),
        transformer=bijections.RationalQuadraticSpline(knots=8, interval=4),
        flow_layers=num_transforms, nn_width=hidden, nn_depth=2),
                      weight_decay, train, validation)
    print(f'{num_transforms} transforms, {hidden} features, weight decay '
          f'{weight_decay}: validation {value:.4f}', file=sys.stderr)
    if value > best_value:
      best, best_value = flow, value
  np.savez(values_path, log_prob=np.float64(log_prob(best, points)) + (
      rows['log_det_points'] - np.log(std).sum()))


if __name__ == '__main__':
  main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
