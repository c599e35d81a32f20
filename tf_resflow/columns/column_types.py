"""Types of the columns of a table: invertible maps to the real line.

They are known without TensorFlow: the maths of a type is written once, for
NumPy and for TensorFlow, as functions of a module with `exp`, `log`, `log1p`,
`abs`, `floor`, `sign`, `sqrt`, `sinh`, `minimum` and `maximum` (`numpy` or
`tf.math`).

To add one: a subclass of `ColumnType` and a line in `registries.COLUMN_TYPES`.
"""

from collections.abc import Sequence
import copy
import dataclasses
import fractions
from typing import Any, ClassVar

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# Decimal places of a grid, from millions on.
_DECIMALS = range(-6, 10)
# Difference from a multiple `k` of a step that is rounding in float32, over
# `max(|k|, 1)` steps.
_ROUNDING = 2.0**-22
# That of numbers that were computed in float64.
FLOAT64_ROUNDING = 2.0**-44


@dataclasses.dataclass(frozen=True)
class ColumnType(spec.Specified):
  """A strictly increasing map `y = f(x)` from values of a column to numbers.

  With a density `q` of `y`, that of `x` is `log p(x) = log q(f(x)) + log
  f'(x)`, exactly; it is zero outside of the support of the type, an interval.

  Attributes:
    is_integer: whether values are a grid, `x = k step` with integers `k`, of
      which `f(k + u)` with uniform `u` is modelled.
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

  def untransformed(self) -> 'ColumnType':
    """Returns the type of the same values, or cells, with `f(x) = x`."""
    return SignedInteger(self.step) if self.is_integer else Real()

  def logarithmic(self) -> 'ColumnType':
    """Returns the type of the same values, or cells, with `f(x) = log x`."""
    return Integer(self.step) if self.is_integer else Log()

  def limits(self, dtype: Any) -> tuple[Any, ...]:
    """Returns the least and the largest number of a dtype in the support."""
    low, high = (np.asarray(bound, dtype.name) for bound in self.bounds)
    # TensorFlow takes denormal numbers for 0.
    tiny = np.finfo(low.dtype).tiny
    return tuple(np.where(np.abs(end) < tiny, np.copysign(tiny, end), end)
                 for end in (np.nextafter(low, high), np.nextafter(high, low)))

  @property
  def step(self) -> Any:
    """The step of a grid; 1 for other numbers."""
    return 1.0

  def units(self, x: Any, math: Any) -> Any:
    """Returns what `f` takes: values, or the `k` of a grid."""
    return x

  def values(self, k: Any) -> Any:
    """Returns the values of what `f` takes, correctly rounded."""
    return k

  def is_on(self, x: np.ndarray) -> np.ndarray:
    """Returns whether numbers are on the grid but for rounding, if any."""
    return np.full(x.shape, True)

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
    # That of a Gaussian with these quartiles, unless they differ by rounding.
    is_one = high - low <= FLOAT64_ROUNDING * max(abs(low), abs(high))
    return cls(float(center), float(
        x.std() if is_one else (high - low) / 1.349))

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
class Grid(ColumnType):
  """A multiple of a step, `x = k step`; `u` is uniform on [0, 1).

  A number between two multiples stands for the lower one, whose cell it is in.

  Example:
    >>> cents = ColumnType.get('integer:0.01')
    >>> cents.units(np.array([0.37, 0.29, 0.295]), np).tolist()
    [37.0, 29.0, 29.0]
    >>> cents.values(np.array([37.0, 3.0])).tolist(), cents
    ([0.37, 0.03], integer:0.01)
  """

  is_integer: ClassVar = True
  step: float = 1.0

  def __post_init__(self):
    errors.check(0.0 < self.step < 1e18, 'step', self.step, 'a number > 0')

  @property
  def expected(self) -> str:
    return 'an integer' if self.step == 1.0 else f'a multiple of {self.step:g}'

  @property
  def ratio(self) -> tuple[Any, Any]:
    """The step as a fraction of whole numbers, which floats have exactly."""
    pairs = [fractions.Fraction(str(step)).as_integer_ratio()
             for step in np.ravel(self.step)]
    dtype = np.asarray(self.step).dtype
    return tuple(np.array(part, dtype).reshape(np.shape(self.step))
                 for part in zip(*pairs, strict=True))

  def units(self, x: Any, math: Any) -> Any:
    up, down = self.ratio
    t = x * down / up
    size = math.maximum(math.abs(t), 1.0)
    return math.floor(t + math.minimum(_ROUNDING * size, 0.25))

  def values(self, k: Any) -> Any:
    up, down = self.ratio
    return k * up / down

  def is_on(self, x: np.ndarray) -> np.ndarray:
    # Rounded down and up.
    return self.units(x, np) == -self.units(-x, np)

  def spec(self) -> str:
    return super().spec().removesuffix('.0').removesuffix(':1')


@dataclasses.dataclass(frozen=True)
class Integer(Grid, Log):
  """A whole number `k` of steps from 0, of which `log(k + u)` is modelled.

  Samples are rounded down: none is negative.
  """

  @property
  def expected(self) -> str:
    return f'{super().expected} >= 0'

  @classmethod
  def fitted(cls, x: np.ndarray, step: float = 1.0) -> ColumnType:
    return (cls if x.min() >= 0 else SignedInteger)(step)


@dataclasses.dataclass(frozen=True)
class SignedInteger(Grid, Real):
  """A whole number `k` of steps, of which `k + u` is modelled."""


@dataclasses.dataclass(frozen=True)
class HeavyInteger(Grid, Heavy):
  """A whole number `k` of steps with heavy tails, of which `f(k + u)` is
  modelled, with `f` that of `Heavy`; centre and scale are in steps.
  """

  def __post_init__(self):
    Grid.__post_init__(self)
    Heavy.__post_init__(self)

  @classmethod
  def fitted(cls, x: np.ndarray, step: float = 0.0) -> 'HeavyInteger':
    """Returns the type with a step, by default that of the values."""
    step = step or step_of(x) or 1.0
    heavy = Heavy.fitted(np.rint(x / step) + 0.5)
    return cls(heavy.center, heavy.scale, step)


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


def rounded(x: Any) -> np.ndarray:
  """Returns numbers as flows take them, in float32 without denormal ones.

  Example:
    >>> rounded([0.1, 1 - 1e-9, 1e-40]).tolist()
    [0.10000000149011612, 1.0, 0.0]
  """
  with np.errstate(over='ignore'):
    x = np.asarray(x, np.float32)
  return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.float32(0.0), x)


def step_of(x: np.ndarray) -> float:
  """Returns the largest decimal of which all numbers are multiples, or 0.

  Differences that are rounding in float32 do not count, also from 0.

  Example:
    >>> step_of(np.array([0.1 + 0.2, 1.0])), step_of(np.array([50.0, 75.0]))
    (0.1, 25.0)
  """
  for decimals in _DECIMALS:
    size = _ROUNDING * np.maximum(np.abs(x), 10.0**-decimals)
    if np.all(np.abs(np.round(x, decimals) - x) <= size):
      places = 10.0**abs(decimals)
      units = np.rint(x * places if decimals > 0 else x / places)
      if np.abs(units).max() >= 2**53:
        break
      step = float(np.gcd.reduce(units.astype(np.int64)))
      if step:  # Not all are nearly 0.
        return step / places if decimals > 0 else step * places
  return 0.0
