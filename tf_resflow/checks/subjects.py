"""What is checked: an object, its inputs, and results that checks share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import dataclasses
import functools
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import errors
from tf_resflow import layers

BATCH_SIZE = 4
_NUM_STEPS = 3
_LEARNING_RATE = 0.02
# Of the search for an induced norm.
_NUM_STARTS, _NUM_CLIMBS = 50, 200


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
    is_random: whether the log-determinant is drawn.
    has_variables: whether there is something to train.
    per_example: whether every example may have a cotangent of its own.
    has_bi_lipschitz_bounds: whether there are slopes that it keeps to.
    has_condition: whether it is made of what takes a condition.
    kernel_scale: of what is added to initial kernels.
  """

  make_fn: Callable[[str], Any]
  event_shape: tuple[int, ...]
  is_pixels: bool = False
  is_integer: bool = False
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
    subject = self.make_fn(dtype)
    layer = layer_of(subject)
    if not layer.built:
      layer.build((None, *self.event_shape))
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
      is_kernel = variable.path.endswith('kernel')
      scale = self.kernel_scale if is_kernel else 0.2
      noise = scale * rng.normal(size=variable.shape)
      variable.assign(variable.numpy() + noise.astype(dtype))
    return subject

  def inputs(self, dtype: str = 'float32', batch_size: int = BATCH_SIZE,
             seed: int = 0) -> tf.Tensor:
    """Returns a batch, the same for the same seed."""
    rng = np.random.default_rng(100 + seed)
    shape = [batch_size, *self.event_shape]
    draw = rng.uniform if self.is_pixels else rng.normal
    x = draw(size=shape)
    return tf.constant(np.round(9.0 * x) if self.is_integer else x, dtype)


def layer_of(subject: Any) -> keras.layers.Layer:
  """Returns the Keras layer that owns the variables of a subject."""
  return getattr(subject, 'layer', subject) if isinstance(
      subject, tfb.Bijector) else subject


def evaluate(subject: Any, x: tf.Tensor, seed: Any = 1) -> list[tf.Tensor]:
  """Returns `[y]`, with a log-determinant and logits where there are some."""
  if isinstance(subject, tfb.Bijector):
    y = subject.forward(x, seed=seed)
    return [y, subject.forward_log_det_jacobian(x, seed=seed)]
  if isinstance(subject, layers.Augmentation):
    return list(subject.augment(x, seed=seed))
  if not hasattr(subject, 'forward_and_log_det'):
    return [subject(x)]
  outputs = list(subject.forward_and_log_det(x, seed=seed))
  if getattr(subject, 'has_classifier', False):
    outputs.append(subject.classify(x, seed=seed))
  return outputs


class Training(NamedTuple):
  """Results of a few steps of gradient descent on one device, in NumPy.

  Attributes:
    labels: of the trainable variables.
    gradients: of the first step, one for each; None where there is none.
    initial: all variables before it.
    final: all variables in the end.
  """

  labels: list[str]
  gradients: list[np.ndarray | None]
  initial: list[np.ndarray]
  final: list[np.ndarray]


def make_step(case: Case, num_replicas: int) -> tuple:
  """Returns a new subject, and a function that trains it on a replica's batch.

  Args:
    case: whose subject it is.
    num_replicas: that train it together.

  Returns:
    The subject; a function of a batch that returns the gradients.
  """
  subject = case.make()
  optimizer = keras.optimizers.SGD(_LEARNING_RATE)
  variables = layer_of(subject).trainable_variables
  optimizer.build(variables)

  def step(x):
    with tf.GradientTape() as tape:
      y, *others = evaluate(subject, x)
      # Neither even nor linear, so that no gradient vanishes by symmetry.
      loss = tf.reduce_mean(0.1 * y**2 + tf.sin(y + 0.3))
      loss -= 0.1 * sum(tf.reduce_mean(t) for t in others)
    gradients = tape.gradient(loss, [v.value for v in variables])
    # The optimizer sums over replicas.
    optimizer.apply([
        tf.zeros_like(v.value) if g is None else g / num_replicas
        for g, v in zip(gradients, variables, strict=True)], variables)
    return gradients

  return subject, step


def global_batches(case: Case) -> list[tf.Tensor]:
  """Returns a batch for each step; their halves have different statistics."""
  shift = 0.0 if case.is_pixels else 1.0
  batches = [case.inputs(seed=i) for i in range(_NUM_STEPS)]
  return [tf.concat([x[:2], x[2:] * 0.5 + shift], axis=0) for x in batches]


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
    self._made: dict[str, Any] = {}
    self._outputs: dict[str, list[np.ndarray]] = {}

  def of(self, dtype: str = 'float64') -> tuple[Any, tf.Tensor]:
    """Returns the subject and a batch, which ActNorms have seen."""
    if dtype not in self._made:
      made = self.case.make(dtype), self.case.inputs(dtype)
      evaluate(*made)
      self._made[dtype] = made
    return self._made[dtype]

  def outputs(self, dtype: str = 'float64') -> list[np.ndarray]:
    """Returns what `evaluate` does eagerly, of the batch."""
    if dtype not in self._outputs:
      subject, x = self.of(dtype)
      self._outputs[dtype] = [
          t.numpy() for t in evaluate(subject, tf.identity(x))]
    return self._outputs[dtype]

  @functools.cached_property
  def jacobians(self) -> np.ndarray:
    """Jacobians of the forward direction by autodiff, float64 `[B, M, D]`."""
    subject, x = self.of()
    return jacobians(lambda x: evaluate(subject, x)[0], x)

  @functools.cached_property
  def training(self) -> Training:
    """Gradient descent from the very first call on, traced, in float32."""
    subject, step = make_step(self.case, num_replicas=1)
    layer = layer_of(subject)
    initial = [v.numpy() for v in layer.variables]
    traced = tf.function(step, autograph=False)
    first, *_ = [traced(x) for x in global_batches(self.case)]
    return Training(
        [v.path for v in layer.trainable_variables],
        [None if g is None else g.numpy() for g in first],
        initial, [v.numpy() for v in layer.variables])


@contextlib.contextmanager
def changed(variables: Sequence[Any]) -> Iterator[None]:
  """Gives all variables other values, for a while."""
  before = [v.numpy() for v in variables]
  for variable, value in zip(variables, before, strict=True):
    variable.assign(-0.5 * value + 0.1)
  try:
    yield
  finally:
    for variable, value in zip(variables, before, strict=True):
      variable.assign(value)


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
  dual = {1.0: np.inf, np.inf: 1.0}.get(domain) or domain / (domain - 1.0)
  x = np.random.default_rng(0).normal(
      size=[_NUM_STARTS, 1, matrices.shape[2], 1])
  for _ in range(_NUM_CLIMBS):
    x = _dual_vectors(
        matrices.swapaxes(1, 2) @ _dual_vectors(matrices @ x, codomain), dual)
  return np.max(
      np.linalg.norm((matrices @ x)[..., 0], codomain, axis=-1)
      / np.maximum(np.linalg.norm(x[..., 0], domain, axis=-1), 1e-300))


def _dual_vectors(x, order):
  """Returns directions of `u` that maximise `<u, x>` at the dual norm 1."""
  size = np.abs(x)
  largest = size.max(axis=-2, keepdims=True)
  if order == np.inf:
    return np.sign(x) * (size == largest)
  return np.sign(x) * (size / np.maximum(largest, 1e-300))**(order - 1.0)


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
  with np.errstate(invalid='ignore'):  # Infinities may be equal.
    error = np.abs(actual - expected)
  is_wrong = ~((error <= atol + rtol * np.abs(expected)) | (actual == expected))
  if is_wrong.any():
    worst = np.unravel_index(np.argmax(np.where(
        is_wrong, np.nan_to_num(error, nan=np.inf), -1.0)), error.shape)
    is_batch = actual.ndim and len(actual) == BATCH_SIZE
    raise CheckFailedError(
        f'{what} is {actual[worst]} instead of {expected[worst]}',
        worst[0] if is_batch else None)


def all_close(what: str, actual: Iterable, expected: Iterable,
              tolerance: float = 0.0) -> None:
  """Compares lists of arrays, with the same relative and absolute tolerance."""
  for a, b in zip(actual, expected, strict=True):
    close(what, a, b, tolerance, tolerance)
