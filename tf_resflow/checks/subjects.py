"""What is checked: an object, its inputs, and results that checks share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.checks import properties
from tf_resflow.numerics.norms import orders

BATCH_SIZE = 4
# Neighbours in a batch have different conditions; halves, on two replicas, have
# the same.
_NUM_CONDITIONS = 2
# Of the search for an induced norm.
_NUM_STARTS, _NUM_CLIMBS = 50, 200
# All methods that take a condition.
_CONDITIONED = frozenset({
    'classify', 'forward', 'forward_and_log_det', 'forward_log_det_jacobian',
    'inverse', 'inverse_and_log_det', 'inverse_log_det_jacobian', 'log_prob',
    'solve_inverse', 'transform'})
EXACT, SKIPPED = numerics.Exact(), numerics.NoLogDet()


class CheckFailedError(errors.ExpectedError):
  """A property does not hold.

  Args:
    problem: which number is wrong.
    example: position in the batch of the input at which it is, if it is at
      one.
  """

  def __init__(self, problem: str, example: int | None = None):
    super().__init__(problem)
    self.example = example


@dataclasses.dataclass(frozen=True)
class Case:
  """A named constructor and the inputs that suit it.

  Attributes:
    make_fn: maps a dtype name to a new, possibly unbuilt, subject: a layer, a
      bijection, a bijector or a model.
    event_shape: shape of one input.
    is_pixels: whether inputs lie in [0, 1].
    is_integer: whether inputs are whole numbers.
    num_labels: number of labels, if inputs are labels.
    is_random: whether the log-determinant is drawn.
    has_variables: whether there is something to train.
    per_example: whether every example may have a cotangent of its own.
    has_bi_lipschitz_bounds: whether there are slopes that it keeps to.
    has_condition: whether it takes a condition.
    kernel_scale: of what is added to initial kernels.
  """

  make_fn: Callable[[str], Any]
  event_shape: tuple[int, ...]
  is_pixels: bool = False
  is_integer: bool = False
  num_labels: int = 0
  is_random: bool = False
  has_variables: bool = True
  per_example: bool = True
  has_bi_lipschitz_bounds: bool = True
  has_condition: bool = False
  kernel_scale: float = 1.0

  def make(self, dtype: str = 'float32', seed: int = 0) -> Any:
    """Returns a built subject with weights away from their initial values.

    Constrained kernels come out larger than their bound, so that
    normalisation is at work.
    """
    made = self.make_fn(dtype)
    layer = Instance(made).layer
    layers.build_once(layer, (None, *self.event_shape))
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
      is_kernel = variable.path.endswith('kernel')
      scale = self.kernel_scale if is_kernel else 0.2
      noise = scale * rng.normal(size=variable.shape)
      variable.assign(variable.numpy() + noise.astype(dtype))
    return made

  def inputs(self, dtype: str = 'float32', batch_size: int = BATCH_SIZE,
             seed: int = 0) -> tf.Tensor:
    """Returns a batch, the same for the same seed."""
    rng = np.random.default_rng(100 + seed)
    shape = [batch_size, *self.event_shape]
    if self.num_labels:
      return tf.constant(rng.integers(self.num_labels, size=shape), tf.int32)
    x = (rng.uniform if self.is_pixels else rng.normal)(size=shape)
    return tf.constant(np.round(9.0 * x) if self.is_integer else x, dtype)


class Instance:
  """An object as a function of data: methods are given its condition, if any.

  Other attributes are those of the object.

  Args:
    it: the object.
    given: the condition of any data in a list; by default see `condition`.

  Attributes:
    kind: of the object, see `properties`.
    layer: the Keras layer that owns its variables.
    spec: the `layers.ConditionSpec` of its condition, or None.
  """

  def __init__(self, it: Any, given: Sequence[Any] = ()):
    self.it, self._given, self.kind = it, given, properties.kind_of(it)
    self.layer = getattr(it, 'layer', it) if (
        self.kind == properties.BIJECTOR) else it
    # A network has one of its inputs.
    self.spec = None if self.kind == properties.NETWORK else getattr(
        self.layer, 'condition_spec', None) or next(
            (part.condition_spec for part in getattr(
                self.layer, 'conditional_layers', list)()), None)

  def __call__(self, x: tf.Tensor) -> tf.Tensor:
    return self._conditioned(self.it)(x)

  def __getattr__(self, name: str) -> Any:
    value = getattr(self.it, name)
    return self._conditioned(value) if name in _CONDITIONED else value

  def _conditioned(self, method):
    return method if self.spec is None else lambda x, **settings: method(
        x, condition=self.condition(x), **settings)

  def given(self, condition: Any) -> 'Instance':
    """Returns it with another condition, that of any data."""
    return Instance(self.it, [condition])

  def condition(self, x: tf.Tensor) -> Any:
    """Returns a condition `[B, ...]`, by places in the batch; None if none."""
    if self._given or self.spec is None:
      return self._given[0] if self._given else None
    size, num_labels = _NUM_CONDITIONS, self.spec.num_labels
    values = np.arange(size) % num_labels if num_labels else (
        np.random.default_rng(7).normal(size=[size, *self.spec.shape]))
    return tf.gather(tf.constant(values, tf.int32 if num_labels else x.dtype),
                     tf.range(tf.shape(x)[0]) % size)

  def inputs(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns `x` and, if there is one, the `condition`."""
    condition = self.condition(x)
    return {'x': x} | ({} if condition is None else {'condition': condition})

  @property
  def variables_by_path(self) -> dict[str, Any]:
    """The trainable variables."""
    return {v.path: v for v in self.layer.trainable_variables}


def evaluate(made: Instance, x: tf.Tensor, seed: Any = 1) -> list[tf.Tensor]:
  """Returns `[y]`, with a log-determinant and logits where there are some."""
  if made.kind == properties.BIJECTOR:
    return [made.forward(x, seed=seed),
            made.forward_log_det_jacobian(x, seed=seed)]
  if hasattr(made, 'forward_and_log_det'):
    return [*made.forward_and_log_det(x, seed=seed),
            *([made.classify(x, seed=seed)]
              if getattr(made, 'has_classifier', False) else [])]
  return list(made.augment(x, seed=seed)) if hasattr(
      made, 'augment') else [made(x)]


def both_directions(made: Instance, x: tf.Tensor) -> list[tf.Tensor]:
  """Returns what `evaluate` does, and the inverse of `y` if there is one."""
  outputs = evaluate(made, x)
  # Another tensor, or the cache of a bijector would answer with x itself.
  return outputs if made.kind not in properties.INVERTIBLE else [
      *outputs, made.inverse(tf.identity(outputs[0]))]


def results(made: Instance, x: tf.Tensor) -> list[tf.Tensor]:
  """Returns everything that an object computes of `x`."""
  return [*both_directions(made, x), *([
      made(x), made.transform(x, estimator=SKIPPED).value,
      made.forward_and_log_det(x, estimator=EXACT)[1]
  ] if made.kind in properties.LAYERED else [])]


def traced(function: Callable, made: Instance, inputs: dict[str, tf.Tensor],
           **options: Any) -> Any:
  """Returns a `tf.function` of such inputs, of unknown batch size.

  Args:
    function: of an object, its condition given, and data.
    made: the object.
    inputs: see `Instance.inputs`.
    **options: of `tf.function`.
  """
  return tf.function(
      lambda x, condition=None: function(made.given(condition), x),
      autograph=False, **options, input_signature=[
          tf.TensorSpec([None, *t.shape[1:]], t.dtype, name)
          for name, t in inputs.items()])


def differentiate(
    function: Callable, made: Instance, x: tf.Tensor,
    cotangent_fn: Callable = tf.ones_like) -> tuple[Any, dict[str, tf.Tensor]]:
  """Differentiates by data, conditions of numbers, and variables.

  Args:
    function: of `made`, its condition given, and `x`.
    made: the object.
    x: data.
    cotangent_fn: maps the value to its cotangent.

  Returns:
    The value, and gradients by name, 0 where it does not depend on something.
  """
  inputs = made.inputs(x)
  sources = {name: t for name, t in inputs.items() if t.dtype.is_floating}
  with tf.GradientTape() as tape:
    tape.watch(sources)
    value = function(made.given(inputs.get('condition')), x)
  sources |= {name: v.value for name, v in made.variables_by_path.items()}
  return value, tape.gradient(
      value, sources, cotangent_fn(value), tf.UnconnectedGradients.ZERO)


def loss(made: Instance, x: tf.Tensor) -> tf.Tensor:
  """Returns a function of all outputs."""
  y, *others = evaluate(made, x)
  # Neither even nor linear, so that no gradient vanishes by symmetry.
  return tf.reduce_mean(0.1 * y**2 + tf.sin(y + 0.3)) - 0.1 * sum(
      tf.reduce_mean(t) for t in others)


class Subject:
  """The object that a case makes, and its results.

  Building and tracing take most of the time of checks, which therefore share
  what is made here. They leave its variables as they found them.

  Attributes:
    name: of the case.
    case: the case.
  """

  def __init__(self, name: str, case: Case):
    self.name, self.case = name, case
    self._made: dict[str, tuple[Instance, tf.Tensor]] = {}
    self._outputs: dict[str, list[np.ndarray]] = {}

  def of(self, dtype: str = 'float64') -> tuple[Instance, tf.Tensor]:
    """Returns the subject and a batch, which ActNorms have seen."""
    if dtype not in self._made:
      made = Instance(self.case.make(dtype)), self.case.inputs(dtype)
      evaluate(*made)
      self._made[dtype] = made
    return self._made[dtype]

  def outputs(self, dtype: str = 'float64') -> list[np.ndarray]:
    """Returns what `both_directions` does eagerly, of the batch."""
    if dtype not in self._outputs:
      made, x = self.of(dtype)
      self._outputs[dtype] = [
          t.numpy() for t in both_directions(made, tf.identity(x))]
    return self._outputs[dtype]

  @functools.cached_property
  def jacobians(self) -> np.ndarray:
    """Jacobians of the forward direction by autodiff, float64 `[B, M, D]`."""
    made, x = self.of()
    return jacobians(lambda x: evaluate(made, x)[0], x)


@contextlib.contextmanager
def changed(variables: dict[str, Any], change_fn: Callable = (
    lambda name, value: -0.5 * value + 0.1)) -> Iterator[None]:
  """Gives variables other values for a while, functions of name and value."""
  before = {name: v.numpy() for name, v in variables.items()}
  for name, value in before.items():
    variables[name].assign(change_fn(name, value))
  try:
    yield
  finally:
    for name, value in before.items():
      variables[name].assign(value)


def jacobians(fn: Callable, x: tf.Tensor) -> np.ndarray:
  """Returns the Jacobians of an example-by-example function, `[B, M, D]`."""
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    y = fn(x)
  jacobian = tape.batch_jacobian(y, x, experimental_use_pfor=False)
  return np.reshape(jacobian, [len(x), -1, x.shape[1:].num_elements()])


def induced_norm(matrices: np.ndarray, domain: float = 2.0,
                 codomain: float = 2.0) -> float:
  """Returns the largest `|A x|_q / |x|_p` of matrices `[B, M, D]`, from below.

  Closed forms for p = q = 1, 2 and infinity; otherwise random starts climb by
  the nonlinear power method.
  """
  if domain == codomain and domain in (1.0, 2.0, np.inf):
    return np.linalg.norm(matrices, domain, axis=(1, 2)).max()
  image = np.random.default_rng(0).normal(
      size=[_NUM_STARTS, *matrices.shape[:2]])
  for _ in range(_NUM_CLIMBS):
    x = orders.dual_vectors(
        tf.einsum('bmd,sbm->sbd', matrices,
                  orders.dual_vectors(image, codomain)), orders.dual(domain))
    image = tf.einsum('bmd,sbd->sbm', matrices, x)  # |x|_p = 1.
  return np.max(orders.vector_norms(image, codomain))


def require(ok: object, problem: str) -> None:
  """Raises `CheckFailedError` with a problem unless `ok`."""
  if not ok:
    raise CheckFailedError(problem)


def close(what: str, actual: Any, expected: Any, atol: float = 0.0,
          rtol: float = 0.0) -> None:
  """Raises `CheckFailedError` unless arrays are equal up to tolerances.

  Args:
    what: is compared, a phrase.
    actual, expected: arrays of one shape.
    atol, rtol: `|actual - expected| <= atol + rtol |expected|`, without NaN.
  """
  actual, expected = np.asarray(actual), np.asarray(expected)
  require(actual.shape == expected.shape,
          f'{what} has the shape {actual.shape}, not {expected.shape}')
  is_right = np.isclose(actual, expected, rtol, atol)
  if not is_right.all():
    with np.errstate(invalid='ignore'):
      error = np.nan_to_num(np.abs(actual - expected), nan=np.inf)
    worst = np.unravel_index(
        np.argmax(np.where(is_right, -1.0, error)), error.shape)
    is_batch = actual.ndim and len(actual) == BATCH_SIZE
    raise CheckFailedError(
        f'{what} is {actual[worst]} instead of {expected[worst]}',
        worst[0] if is_batch else None)


def all_close(what: str, actual: Iterable, expected: Iterable,
              atol: float = 0.0, rtol: float | None = None) -> None:
  """Compares lists of arrays; the relative tolerance is by default `atol`."""
  for a, b in zip(actual, expected, strict=True):
    close(what, a, b, atol, atol if rtol is None else rtol)
