"""How exact, how low and how loose: induced norms of layers, and brute force.

    python -m tests.numerics.norms.induced_study --output=docs/induced_norms

prints the tables of docs/induced_norms.md, draws its picture, and fails where a
claim does not hold.
"""

import argparse
from collections.abc import Iterator
import dataclasses
import math
import sys
import time

import numpy as np
import tensorflow as tf

from tests.numerics.norms import induced_cases
from tests.numerics.norms import induced_oracle
from tests.numerics.norms import induced_report
from tf_resflow import errors
from tf_resflow.layers.lipschitz import operator_norms

# Tolerance, largest and smallest number of steps: those of layers, of
# their `norm_estimate`, of |A|_2->2, and of the norms of nonnegative kernels.
# Errors of norms are of the order of the square of the tolerance.
_LAYERS = 1e-3, 200, 3
_CONVERGED = 1e-4, 200, 20
_SPECTRAL = 1e-6, 200, 3
_EXACTLY = 1e-6, 5000, 20
_NUM_ROWS = (1, 3, 8, 32)
_NUM_CONVERGED_ROWS = (1, 3, 8, 32, 64)
_ROUNDING = 1e-9
_EXACT = 1e-6


@dataclasses.dataclass
class Record:
  """What was found for one operator and one pair of orders.

  Attributes:
    case: the operator.
    domain: `p`.
    codomain: `q`.
    brute: brute force.
    kind: 'closed', 'spectral' or 'elsewhere'.
    exact: closed form, spectral norm, or the nonlinear power method from
      positive rows, where one of them is the norm.
    signed: the same method from rows of any sign.
    with_telling: brute force from `induced_oracle.telling_starts` besides,
      where `exact` exceeded `brute`.
    estimates: from numbers of rows to estimates, with the settings of layers.
    converged: the same, with the settings of `norm_estimate`.
    unattained: by how much, relatively, an estimate differs from `|A x|_q /
      |x|_p` of the vector that it comes with.
    upper: upper bound.
  """

  case: induced_cases.Case
  domain: float
  codomain: float
  brute: float
  kind: str = 'elsewhere'
  exact: float | None = None
  signed: float | None = None
  with_telling: float | None = None
  estimates: dict[int, float] = dataclasses.field(default_factory=dict)
  converged: dict[int, float] = dataclasses.field(default_factory=dict)
  unattained: float = 0.0
  upper: float | None = None

  @property
  def pair(self) -> tuple[float, float]:
    return self.domain, self.codomain

  @property
  def deviation(self) -> float:
    """Of what is exact, relative, from brute force."""
    return abs(self.exact / (self.with_telling or self.brute) - 1.0)

  @property
  def is_brute_short(self) -> bool:
    """Whether an estimate exceeds brute force."""
    return self.known > self.brute * (1.0 + _ROUNDING)

  @property
  def known(self) -> float:
    """The largest quotient known: brute force, or an estimate above it."""
    return max(self.brute, *self.estimates.values(), *self.converged.values())

  @property
  def looseness(self) -> float:
    """The upper bound over what is known."""
    return self.upper / self.known

  def shortfall(self, num_rows: int, is_converged: bool = False) -> float:
    """Returns how far an estimate is below what is known, relatively.

    Args:
      num_rows: of the estimate.
      is_converged: whether by the settings of `norm_estimate`.
    """
    found = self.converged if is_converged else self.estimates
    return 1.0 - found[num_rows] / self.known


def measure(
    cases: list[induced_cases.Case], num_starts: int = 1000,
) -> Iterator[Record]:
  """Yields a record for every case and pair of orders.

  Args:
    cases: the operators.
    num_starts: of brute force.
  """
  for index, case in enumerate(cases):
    matrix = case.matrix()
    for domain, codomain in induced_oracle.PAIRS:
      record = Record(case, domain, codomain, induced_oracle.brute_force(
          matrix, domain, codomain, num_starts, seed=index))
      norm = operator_norms.UPPER.of_orders(domain, codomain)
      if norm is operator_norms.CLOSED:
        record.kind = 'closed'
        record.exact = float(tf.reduce_max(norm.norm(
            tf.constant(case.kernel), None, case.spatial_shape, domain,
            codomain)))
      elif norm is operator_norms.SPECTRAL:
        record.kind = 'spectral'
        # As many as layers have.
        rows = _rows(norm, case, min(3, *matrix.shape), index)
        record.exact = float(norm.follow(
            tf.constant(case.kernel), rows, case.spatial_shape, 2.0, 2.0,
            *_SPECTRAL).norm)
      else:
        _measure_elsewhere(record, matrix, index)
      if (record.exact or 0.0) > record.brute * (1.0 + _EXACT):
        record.with_telling = induced_oracle.brute_force(
            matrix, domain, codomain, num_starts, seed=index,
            further_starts=induced_oracle.telling_starts(matrix, domain))
      yield record


def _measure_elsewhere(record, matrix, seed):
  """Fills in estimates and the upper bound."""
  case, (p, q) = record.case, record.pair
  norm = operator_norms.ESTIMATE
  follow = _follower(norm, record)
  rows = _rows(norm, case, max(_NUM_CONVERGED_ROWS), seed)
  for found, numbers, settings in (
      (record.estimates, _NUM_ROWS, _LAYERS),
      (record.converged, _NUM_CONVERGED_ROWS, _CONVERGED)):
    for number in numbers:
      found[number], x = follow(rows[:number], settings)
      quotient = _quotient(matrix, _over_image(x, record), p, q)
      record.unattained = max(
          record.unattained, abs(found[number] / quotient - 1.0))
  if case.is_nonnegative and p >= q:
    record.exact, _ = follow(tf.abs(rows[:1]), _EXACTLY)
    record.signed, _ = follow(rows[:3], _EXACTLY)
  record.upper = float(operator_norms.UPPER.bound(
      tf.constant(case.kernel), case.spatial_shape, p, q,
      np.linalg.norm(matrix, 2)))


def _rows(norm, case, num_rows, seed):
  size = norm.row_size(tf.constant(case.kernel), case.spatial_shape)
  rows = np.random.default_rng([1, seed]).normal(size=[num_rows, size])
  return tf.constant(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _follower(norm, record):
  """Returns `follow(rows, settings)`.

  That is what a layer divides by, and the vector that it comes with.
  """
  kernel = tf.constant(record.case.kernel)
  number = tf.TensorSpec([], tf.float64)
  steps = tf.TensorSpec([], tf.int32)

  # Traced once for all numbers of rows and settings.
  @tf.function(input_signature=[
      tf.TensorSpec([None, norm.row_size(kernel, record.case.spatial_shape)],
                    tf.float64), number, steps, steps], autograph=False)
  def follow(rows, tolerance, max_steps, min_steps):
    result = norm.follow(
        kernel, rows, record.case.spatial_shape, *record.pair, tolerance,
        max_steps, min_steps)
    return result.norm, result.rows[0]

  def as_numbers(rows, settings):
    found, x = follow(rows, *settings)
    return float(found), x.numpy()

  return as_numbers


def _over_image(x, record):
  """The vector for whole images; that of a 1 x 1 kernel is of one pixel."""
  case = record.case
  if case.spatial_shape is None or math.prod(case.kernel.shape[:2]) != 1:
    return x
  image = np.zeros([math.prod(case.spatial_shape), x.size])
  # Equal pixels attain the factor where it is not 1.
  image[:None if record.domain > record.codomain else 1] = x
  return image.reshape(-1)


def _quotient(matrix, x, domain, codomain):
  return induced_oracle.vector_norms(
      matrix @ x, codomain) / induced_oracle.vector_norms(x, domain)


def complaints(records: list[Record]) -> list[str]:
  """Returns where a claim does not hold, one line each.

  Args:
    records: what was measured.
  """
  found = []
  for record in records:
    claims = {
        'exact': record.exact is None or record.deviation <= _EXACT,
        'estimate attained': record.unattained <= _ROUNDING,
        'upper bound above': record.upper is None or
                             record.looseness >= 1.0 - _ROUNDING}
    found += [f'{record.case.name}, {record.pair}: not {claim}: {record}'
              for claim, holds in claims.items() if not holds]
  return found


def main(arguments: list[str] | None = None) -> int:
  """Measures, prints and draws.

  Args:
    arguments: of the command line.

  Returns:
    0, or 1 where a claim does not hold.
  """
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--output', default='induced_norms',
                      help='the picture, without .png')
  parser.add_argument('--num_operators', type=int, default=208)
  parser.add_argument('--num_starts', type=int, default=1000,
                      help='of brute force')
  options = parser.parse_args(arguments)
  for name in ('num_operators', 'num_starts'):
    value = getattr(options, name)
    errors.check(value >= 1, name, value, 'a number from 1')
  start = time.monotonic()
  records = []
  cases = induced_cases.make_cases(options.num_operators)
  total = len(cases) * len(induced_oracle.PAIRS)
  for record in measure(cases, options.num_starts):
    records.append(record)
    minutes = (time.monotonic() - start) / 60.0
    sys.stderr.write(f'\r{len(records)} of {total} norms, {minutes:.1f} min')
  sys.stderr.write('\n')
  print(induced_report.tables(records))
  induced_report.draw(records, f'{options.output}.png')
  found = complaints(records)
  print(*found, sep='\n', file=sys.stderr)
  return 1 if found else 0


if __name__ == '__main__':
  sys.exit(main())
