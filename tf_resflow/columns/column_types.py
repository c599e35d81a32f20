"""Types of the columns of a table: invertible maps to the real line.

They are known without TensorFlow: the maths of a type is written once, for
NumPy and for TensorFlow, as functions of a module with `exp`, `log`, `log1p`,
`abs`, `sign`, `sqrt`, `sinh`, `minimum` and `maximum` (`numpy` or `tf.math`).

To add one: a subclass of `ColumnType` and a line in `registries.COLUMN_TYPES`.
"""

from collections.abc import Sequence
import copy
import dataclasses
from typing import Any, ClassVar

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# Rows that a message names.
_NUM_NAMED = 3


@dataclasses.dataclass(frozen=True)
class ColumnType(spec.Specified):
  """A strictly increasing map `y = f(x)` from values of a column to numbers.

  With a density `q` of `y`, that of `x` is `log p(x) = log q(f(x)) + log
  f'(x)`, exactly; it is zero outside of the support of the type, an interval.

  Attributes:
    is_integer: whether values are integers, of which `f(x + u)` with uniform
      `u` is modelled.
    bounds: both ends of the support, which are not in it.
    expected: description of the support.

  Example:
    >>> ColumnType.get('log').forward(np.array([1.0, np.e]), np).tolist()
    [0.0, 1.0]
    >>> ColumnType.get('logit:100').expected
    'strictly between 0 and 100'
  """

  registry: ClassVar = registries.COLUMN_TYPES
  is_integer: ClassVar[bool] = False
  bounds: ClassVar[Any] = (-np.inf, np.inf)
  expected: ClassVar[Any] = 'finite'

  @classmethod
  def fitted(cls, x: np.ndarray) -> 'ColumnType':
    """Returns the type with parameters that suit values, `[N]`."""
    return cls()

  def limits(self, dtype: Any) -> tuple[Any, ...]:
    """Returns the least and the largest number of a dtype in the support."""
    low, high = (np.asarray(bound, dtype.name) for bound in self.bounds)
    # TensorFlow takes denormal numbers for 0.
    tiny = np.finfo(low.dtype).tiny
    return tuple(np.where(np.abs(end) < tiny, np.copysign(tiny, end), end)
                 for end in (np.nextafter(low, high), np.nextafter(high, low)))

  def supports(self, x: Any) -> Any:
    """Returns whether values are in the support, a bool array."""
    low, high = self.limits(x.dtype)
    return (x >= low) & (x <= high)

  def forward(self, x: Any, math: Any) -> Any:
    """Returns `f(x)` of values in the support."""
    return x

  def inverse(self, y: Any, math: Any) -> Any:
    """Returns the `x` with `f(x) = y`, which may be rounded to a bound."""
    return y

  def inside(self, y: Any, math: Any) -> Any:
    """Returns the value in the support that is nearest to `inverse`."""
    low, high = self.limits(y.dtype)
    return math.minimum(math.maximum(self.inverse(y, math), low), high)

  def log_slope(self, y: Any, math: Any) -> Any:
    """Returns `log f'(x)` where `f(x) = y`, nats.

    It is finite for every `y`, also where `x` is rounded.
    """
    return 0.0 * y


@dataclasses.dataclass(frozen=True)
class Real(ColumnType):
  """Any number: `f(x) = x`."""


@dataclasses.dataclass(frozen=True)
class Log(ColumnType):
  """A positive number: `f(x) = log x`."""

  bounds: ClassVar = (0.0, np.inf)
  expected: ClassVar = 'above 0'

  def forward(self, x: Any, math: Any) -> Any:
    return math.log(x)

  def inverse(self, y: Any, math: Any) -> Any:
    return math.exp(y)

  def log_slope(self, y: Any, math: Any) -> Any:
    return -y


@dataclasses.dataclass(frozen=True)
class Logit(ColumnType):
  """A number between 0 and `upper`: `f(x) = log(x / (upper - x))`."""

  upper: float = 1.0

  def __post_init__(self):
    errors.check(0.0 < self.upper < 1e18, 'upper', self.upper, 'a number > 0')

  @property
  def bounds(self) -> tuple[Any, Any]:
    return 0.0, self.upper

  @property
  def expected(self) -> str:
    return f'strictly between 0 and {self.upper:g}'

  def forward(self, x: Any, math: Any) -> Any:
    return math.log(x) - math.log(self.upper - x)

  def inverse(self, y: Any, math: Any) -> Any:
    return self.upper / (1.0 + math.exp(-y))

  def log_slope(self, y: Any, math: Any) -> Any:
    # -log sigmoid(y) - log sigmoid(-y) - log upper.
    size = math.abs(y)
    return size + 2.0 * math.log1p(math.exp(-size)) - np.log(self.upper)


@dataclasses.dataclass(frozen=True)
class Heavy(ColumnType):
  """A number with heavy tails: `f(x) = asinh((x - center) / scale)`.

  It is linear near the centre and logarithmic in the tails, so that far values
  cost others no digits.
  """

  center: float = 0.0
  scale: float = 1.0

  def __post_init__(self):
    errors.check(0.0 < self.scale < 1e18, 'scale', self.scale, 'a number > 0')

  @classmethod
  def fitted(cls, x: np.ndarray) -> 'Heavy':
    low, center, high = np.quantile(x, [0.25, 0.5, 0.75])
    # That of a Gaussian with these quartiles.
    return cls(float(center), float((high - low) / 1.349 or x.std()))

  def forward(self, x: Any, math: Any) -> Any:
    t = (x - self.center) / self.scale
    # From 2^60 on, whose square float32 has, asinh(t) is log 2t.
    size = math.minimum(math.abs(t), 2.0**60)
    ratio = math.abs(x - self.center) / 2.0**60 / self.scale
    # asinh, without the cancellation of log(size + sqrt(1 + size^2)).
    return math.sign(t) * (math.log1p(
        size + size * (size / (1.0 + math.sqrt(1.0 + size * size)))
    ) + math.log(math.maximum(ratio, 1.0)))

  def inverse(self, y: Any, math: Any) -> Any:
    return self.center + self.scale * math.sinh(y)

  def log_slope(self, y: Any, math: Any) -> Any:
    # -log cosh(y) - log scale.
    size = math.abs(y)
    return float(np.log(2.0)) - size - math.log1p(
        math.exp(-2.0 * size)) - np.log(self.scale)


@dataclasses.dataclass(frozen=True)
class Integer(Log):
  """A whole number `x` from 0, of which `f(x + u) = log(x + u)` is modelled.

  `u` is uniform on [0, 1). Samples are rounded down: none is negative.
  """

  is_integer: ClassVar = True
  expected: ClassVar = 'an integer >= 0'

  @classmethod
  def fitted(cls, x: np.ndarray) -> ColumnType:
    return cls() if x.min() >= 0 else SignedInteger()


@dataclasses.dataclass(frozen=True)
class SignedInteger(Real):
  """A whole number `x`, of which `f(x + u) = x + u` is modelled."""

  is_integer: ClassVar = True
  expected: ClassVar = 'an integer'


def stacked(types: Sequence[ColumnType], dtype: Any) -> ColumnType:
  """Returns one type for `K` columns, all of one class.

  Its parameters are arrays `[K]` of a NumPy dtype; its functions take
  `[..., K]`.
  """
  result = copy.copy(types[0])
  for field in dataclasses.fields(result):
    object.__setattr__(result, field.name, np.array(
        [getattr(t, field.name) for t in types], dtype))
  return result


def cell_points(num_columns: int, num_points: int = 16) -> np.ndarray:
  """Returns points of the unit cube, `[num_points, num_columns]`.

  In every column they are the midpoints of `num_points` equal intervals, in an
  order of its own: a Latin hypercube, always the same.
  """
  middles = (np.arange(num_points) + 0.5) / num_points
  orders = [np.random.RandomState(i).permutation(num_points) if i else
            np.arange(num_points) for i in range(num_columns)]
  return np.stack([middles[order] for order in orders], axis=1)


def rounded(x: Any) -> np.ndarray:
  """Returns numbers as flows take them, in float32 without denormal ones.

  Example:
    >>> rounded([0.1, 1 - 1e-9, 1e-40]).tolist()
    [0.10000000149011612, 1.0, 0.0]
  """
  with np.errstate(over='ignore'):
    x = np.asarray(x, np.float32)
  return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.float32(0.0), x)


def with_density(
    specs: Sequence[str], x: np.ndarray, names: Sequence[str] = (),
    index: Any = None) -> tuple[np.ndarray, str]:
  """Returns which rows have values that their columns can take, bool `[N]`.

  What counts is the number that float32 has.

  Args:
    specs: of the types of the columns.
    x: `[N, D]`.
    names: of the columns, if they have some.
    index: of the table of the rows, by default they count from 1.

  Returns:
    Them, and a description of the first other values, empty if there are none.

  Example:
    >>> with_density(['logit'], np.array([[0.5], [1 - 1e-9]]), ['p'])[1]
    'p is not strictly between 0 and 1 in row 2 (0.999999999)'
  """
  types = _types(specs, x)
  is_supported = np.stack([
      t.supports(column + np.float32(0.5 * t.is_integer)) & (
          not t.is_integer or column == np.floor(column))
      for t, column in zip(types, rounded(x).T, strict=True)], axis=1)
  noun, numbers = ('row', range(1, len(x) + 1)) if index is None else (
      index.name, index)
  places = []
  for i in np.flatnonzero(~is_supported.all(axis=0)):
    rows = np.flatnonzero(~is_supported[:, i])
    shown = [f'{noun} {numbers[row]} ({x[row, i]:.15g})'
             for row in rows[:_NUM_NAMED]] + ['...'] * (len(rows) > _NUM_NAMED)
    places.append(f'{names[i] if names else f"x{i}"} is not '
                  f'{types[i].expected} in {", ".join(shown)}')
  return is_supported.all(axis=1), '; '.join(places)


def one_per_cell(y: np.ndarray) -> np.ndarray:
  """Returns one point of each cell of `mapped` in turn, `[N, D]`."""
  rows = np.arange(len(y))
  return y if y.ndim < 3 else y[rows, rows % y.shape[1]]


def _types(specs, x):
  return [ColumnType.get(spec) for spec in specs or ['real'] * np.shape(x)[-1]]


def dequantized(specs: Sequence[str], x: Any) -> np.ndarray:
  """Returns rows `[N, D]` in float64; with whole numbers points of their cells.

  These are `x + u`, `[N, K, D]`, with the `cell_points` `u` in the columns of
  whole numbers.
  """
  x = np.asarray(x, np.float64)
  whole = [i for i, t in enumerate(_types(specs, x)) if t.is_integer]
  if not whole:
    return x
  points = cell_points(len(whole))
  u = np.zeros([len(points), x.shape[1]])
  u[:, whole] = points
  return x[:, np.newaxis] + u


def mapped(specs: Sequence[str], x: Any) -> tuple[np.ndarray, np.ndarray]:
  """Maps rows to real numbers.

  Args:
    specs: of the types of the columns; none if all are real.
    x: `[N, D]`, values that the types support.

  Returns:
    `y` `[N, D]` and `log|det dy/dx|` `[N]`, nats, both float64; with columns of
    whole numbers of the points of each row's cell, `[N, K, D]` and `[N, K]`.
  """
  types, x = _types(specs, x), dequantized(specs, x)
  y = [t.forward(column, np)
       for t, column in zip(types, np.moveaxis(x, -1, 0), strict=True)]
  return np.stack(y, axis=-1), sum(
      t.log_slope(column, np) for t, column in zip(types, y, strict=True))
